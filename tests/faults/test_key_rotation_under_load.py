"""Test that keys can be rotated and dropped under load, with two server processes."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from accounts.keys.schedule import Schedule
from tests.factories import PASSWORD
from tests.servers import Server, environment, rotate

CLIENT_COUNT = 6


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture of conftest.py: these tests use only the database of the server."""


@pytest.fixture
def server(tmp_path, django_db_setup, django_db_blocker):
    running = Server(environment(tmp_path, django_db_blocker, AUTH_ACCOUNT_LIMIT=""), tmp_path / "log")
    yield running
    assert running.stop() == 0


class Client:
    """A client that refreshes and requests content repeatedly, and records the status of every response."""

    def __init__(self, server, name):
        self.server = server
        self.responses = Counter()
        self.kids = set()
        server.post("/api/auth/signup", {"username": name, "email": f"{name}@example.com", "password": PASSWORD})
        self.pair = server.post("/api/auth/signin", {"username": name, "password": PASSWORD})[1]

    def run(self, stop):
        while not stop.is_set():
            for _ in range(3):
                self.responses["content", self.get_content()] += 1
            self.responses["refresh", self.refresh()] += 1

    def get_content(self):
        return self.server.request("GET", "/api/test/user", Authorization=f"Bearer {self.pair['accessToken']}")[0]

    def refresh(self):
        status, body = self.server.post("/api/auth/refreshtoken", {"refreshToken": self.pair["refreshToken"]})
        self.pair = body if status == 200 else self.pair
        self.kids.add(self.pair["accessToken"].split(".")[0])
        return status


@pytest.fixture
def clients(server):
    return [Client(server, f"client{number}") for number in range(CLIENT_COUNT)]


def key_ids(server):
    folder = Path(server.environment["AUTH_KEYS_DIR"])
    schedule, _ = Schedule.read(folder, "ES256")
    newest = max((entry for entry in schedule.entries if entry.signs_from), key=lambda entry: entry.signs_from)
    return newest.kid, [entry.kid for entry in schedule.entries if entry.signs_from is None]


def test_no_request_fails_while_keys_are_rotated_and_dropped(server, clients):
    stop = Event()
    with ThreadPoolExecutor(CLIENT_COUNT) as pool:
        futures = [pool.submit(client.run, stop) for client in clients]
        try:
            for _ in range(3):
                rotate(server)
            # The first key of another algorithm is published a minute before it signs, so it is still pending.
            server.manage("rotate_signing_key", "--algorithm", "EdDSA")
            _, pending = key_ids(server)
            server.manage("rotate_signing_key", f"--drop={pending[0]}")
            rotate(server)
        finally:
            stop.set()
        for future in futures:
            future.result()

    responses = sum((client.responses for client in clients), Counter())
    assert set(responses) == {("content", 200), ("refresh", 200)}
    assert all(len(client.kids) > 1 for client in clients)


def test_tokens_of_a_dropped_key_are_refused_immediately_and_refreshes_succeed(server, clients):
    for _ in range(3):
        kid, _ = key_ids(server)
        with ThreadPoolExecutor(CLIENT_COUNT) as pool:
            assert set(pool.map(lambda client: client.get_content(), clients)) == {200}

            server.manage("rotate_signing_key", f"--drop={kid}")

            assert set(pool.map(lambda client: client.get_content(), clients * 5)) == {401}
            assert set(pool.map(lambda client: client.refresh(), clients)) == {200}
            assert set(pool.map(lambda client: client.get_content(), clients * 5)) == {200}
