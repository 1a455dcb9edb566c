"""Test that sessions survive killed server and database processes, and the loss of the key folder."""

import contextlib
import http.client
import os
import secrets
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.environment import ON_POSTGRESQL
from tests.servers import ROOT, PostgreSQL, Server, environment, repeat_concurrently, wait_until

CLIENT_COUNT = 5


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture of conftest.py: these tests use only the database of the server."""


@pytest.fixture(scope="module")
def server(start_server):
    # A restart may take longer than the default grace.
    return start_server(AUTH_REFRESH_TOKEN_GRACE="600", AUTH_ACCOUNT_LIMIT="")


class Client:
    """A client that refreshes repeatedly and stores the last pair of tokens that it received."""

    def __init__(self, server, name):
        self.server = server
        self.pair = server.sign_in(name)
        self.statuses = []

    def run(self, is_stopped):
        while not is_stopped():
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.refresh()

    def refresh(self):
        status, body = self.server.refresh(self.pair)
        self.statuses.append(status)
        if status == 200:
            self.pair = body


@contextlib.contextmanager
def refreshing(clients):
    """Let the clients refresh in threads while the block runs."""
    stopped = []
    with ThreadPoolExecutor(len(clients)) as pool:
        futures = [pool.submit(client.run, lambda: stopped) for client in clients]
        try:
            yield
        finally:
            stopped.append(True)
        for future in futures:
            future.result()


def wait_for_refreshes(clients):
    completed = sum(len(client.statuses) for client in clients)
    target = completed + 5 + secrets.randbelow(40)
    wait_until(lambda: sum(len(client.statuses) for client in clients) >= target)


def assert_still_signed_in(server, clients):
    for client in clients:
        responses = repeat_concurrently(3, lambda _, client=client: server.refresh(client.pair))
        assert {status for status, _ in responses} == {200}, responses
        assert len({body["refreshToken"] for _, body in responses}) == 1
        client.pair = responses[0][1]
        assert server.content(client.pair) == 200
    assert "reuse_detected" not in server.log.read_text()


def test_no_client_is_signed_out_when_the_service_is_killed_repeatedly(server):
    clients = [Client(server, f"killed{number}") for number in range(CLIENT_COUNT)]

    for _ in range(3):
        with refreshing(clients):
            wait_for_refreshes(clients)
            server.kill()
        server.start()
        assert_still_signed_in(server, clients)

    assert {status for client in clients for status in client.statuses} == {200}


@pytest.mark.skipif(not ON_POSTGRESQL, reason="needs PostgreSQL")
def test_no_client_is_signed_out_when_the_database_is_killed_repeatedly(
    tmp_path, django_db_setup, django_db_blocker
):
    postgresql = PostgreSQL()
    settings = {"DATABASE_URL": postgresql.url, "AUTH_REFRESH_TOKEN_GRACE": "600", "AUTH_ACCOUNT_LIMIT": ""}
    server = Server(environment(tmp_path, django_db_blocker, **settings), tmp_path / "log")
    clients = [Client(server, f"killed{number}") for number in range(CLIENT_COUNT)]

    for _ in range(3):
        with refreshing(clients):
            wait_for_refreshes(clients)
            postgresql.kill()
            wait_for_refreshes(clients)
            postgresql.start()
            wait_for_refreshes(clients)
        wait_until(lambda: server.request("GET", "/readyz")[0] == 200)
        assert_still_signed_in(server, clients)

    assert {status for client in clients for status in client.statuses} == {200, 503}
    assert server.stop() == 0
    postgresql.remove()


def kill_workers(server):
    """Kill the worker processes and wait until others have replaced them."""
    killed = server.workers()
    for process in killed:
        process.kill()
    wait_until(lambda: len(server.workers()) == len(killed) and not set(killed) & set(server.workers()))
    # A connection may have been accepted by a worker that is not ready yet.
    wait_until(lambda: all(is_ready(server) for _ in range(10)))


def is_ready(server):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return server.request("GET", "/readyz")[0] == 200


def removed(folder):
    """Put nothing in its place."""


def replaced_by_a_file(folder):
    folder.write_text("no folder")


def replaced_by_a_link_to_nothing(folder):
    folder.symlink_to(folder.with_name("nowhere"))


def replaced_by_an_empty_folder(folder):
    folder.mkdir()


REPLACEMENTS = [removed, replaced_by_a_file, replaced_by_a_link_to_nothing, replaced_by_an_empty_folder]


@contextlib.contextmanager
def without_keys(server, put_replacement):
    folder = Path(server.environment["AUTH_KEYS_DIR"])
    kept = folder.rename(folder.with_name("kept"))
    put_replacement(folder)
    try:
        yield
    finally:
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        kept.rename(folder)


@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_a_service_whose_key_folder_is_lost_continues_with_the_keys_it_has_read(server, replacement):
    pair = server.sign_in(replacement.__name__)
    assert set(repeat_concurrently(20, lambda _: server.content(pair))) == {200}
    forged = {"accessToken": f"{pair['accessToken'][:-20]}{'A' * 20}"}
    published = server.request("GET", "/.well-known/jwks.json")

    with without_keys(server, replacement):
        assert set(repeat_concurrently(10, lambda _: server.content(pair))) == {200}
        assert set(repeat_concurrently(10, lambda _: server.content(forged))) == {401}
        responses = repeat_concurrently(10, lambda _: server.refresh(pair))
        assert {status for status, _ in responses} == {200}
        assert {server.content(body) for _, body in responses} == {200}
        assert server.request("GET", "/.well-known/jwks.json") == published

    assert {server.content(body) for _, body in responses} == {200}


def test_workers_that_replace_killed_ones_have_the_keys_of_the_start(server):
    pair = server.sign_in("replaced")

    with without_keys(server, replaced_by_a_file):
        kill_workers(server)
        assert set(repeat_concurrently(20, lambda _: server.content(pair))) == {200}
        status, successor = server.refresh(pair)
        assert (status, server.content(successor)) == (200, 200)

    assert server.content(successor) == 200


@pytest.mark.parametrize("replacement", [replaced_by_a_file, replaced_by_a_link_to_nothing])
def test_a_start_without_a_usable_key_folder_fails_with_one_line(server, tmp_path, replacement):
    folder = tmp_path / "keys"
    replacement(folder)

    completed_process = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env={**os.environ, **server.environment, "AUTH_KEYS_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert completed_process.returncode == 1
    assert completed_process.stderr.startswith("Configuration error: AUTH_KEYS_DIR: ")
    assert len(completed_process.stderr.splitlines()) == 1
