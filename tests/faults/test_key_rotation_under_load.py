"""Keys that rotate and are dropped under load, over two processes."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from accounts.keys.schedule import Schedule
from tests.factories import PASSWORD
from tests.servers import Server, environment, rotate

CLIENTS = 6


@pytest.fixture(autouse=True)
def _transactions_that_roll_back():
    """Give the tests no database: the server has its own, which is not made inside a transaction."""


@pytest.fixture
def server(tmp_path, django_db_setup, django_db_blocker):
    running = Server(environment(tmp_path, django_db_blocker, AUTH_ACCOUNT_LIMIT=""), tmp_path / "log")
    yield running
    assert running.stop() == 0


class Visitor:
    """Somebody who refreshes and asks for content again and again, and notes every answer."""

    def __init__(self, server, name):
        self.server = server
        self.answers = Counter()
        self.kids = set()
        server.post("/api/auth/signup", {"username": name, "email": f"{name}@example.com", "password": PASSWORD})
        self.pair = server.post("/api/auth/signin", {"username": name, "password": PASSWORD})[1]

    def go_on(self, stop):
        while not stop.is_set():
            for _ in range(3):
                self.answers["content", self.ask()] += 1
            self.answers["refresh", self.refresh()] += 1

    def ask(self):
        return self.server.request("GET", "/api/test/user", Authorization=f"Bearer {self.pair['accessToken']}")[0]

    def refresh(self):
        status, body = self.server.post("/api/auth/refreshtoken", {"refreshToken": self.pair["refreshToken"]})
        self.pair = body if status == 200 else self.pair
        self.kids.add(self.pair["accessToken"].split(".")[0])
        return status


@pytest.fixture
def visitors(server):
    return [Visitor(server, f"visitor{number}") for number in range(CLIENTS)]


def signing(server):
    folder = Path(server.environment["AUTH_KEYS_DIR"])
    schedule, _ = Schedule.read(folder, "ES256")
    newest = max((entry for entry in schedule.entries if entry.signs_from), key=lambda entry: entry.signs_from)
    return newest.kid, [entry.kid for entry in schedule.entries if entry.signs_from is None]


def test_no_request_fails_while_keys_rotate_move_and_are_dropped(server, visitors):
    stop = Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        going = [pool.submit(visitor.go_on, stop) for visitor in visitors]
        try:
            for _ in range(3):
                rotate(server)
            # Another algorithm begins with a key that nobody knows yet: it would sign a minute later.
            server.manage("rotate_signing_key", "--algorithm", "EdDSA")
            _, waiting = signing(server)
            server.manage("rotate_signing_key", "--drop", waiting[0])
            rotate(server)
        finally:
            stop.set()
        for visitor in going:
            visitor.result()

    answers = sum((visitor.answers for visitor in visitors), Counter())
    assert set(answers) == {("content", 200), ("refresh", 200)}
    assert all(len(visitor.kids) > 1 for visitor in visitors)


def test_of_a_dropped_key_no_token_passes_with_the_next_request_and_every_refresh_does(server, visitors):
    for _ in range(3):
        kid, _ = signing(server)
        with ThreadPoolExecutor(CLIENTS) as pool:
            assert set(pool.map(lambda visitor: visitor.ask(), visitors)) == {200}

            server.manage("rotate_signing_key", "--drop", kid)

            assert set(pool.map(lambda visitor: visitor.ask(), visitors * 5)) == {401}
            assert set(pool.map(lambda visitor: visitor.refresh(), visitors)) == {200}
            assert set(pool.map(lambda visitor: visitor.ask(), visitors * 5)) == {200}
