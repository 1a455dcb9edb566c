"""Test a running service whose Redis stops or freezes."""

import contextlib
import shutil
import subprocess
import time

import psutil
import pytest
import redis

from tests.factories import PASSWORD
from tests.servers import free_port, repeat_concurrently, wait_until

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="needs redis-server, which CI installs"
)


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture of conftest.py: these tests use only the database of the server."""


class Redis:
    """A Redis server for one test module, which stores its data on disk and so survives a restart."""

    def __init__(self, folder):
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        self._process = subprocess.Popen([*command, "--appendonly", "yes"], stdout=subprocess.DEVNULL)
        wait_until(self._responds)

    def stop(self):
        self._process.terminate()
        assert self._process.wait(timeout=30) == 0

    @contextlib.contextmanager
    def frozen(self):
        process = psutil.Process(self._process.pid)
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    def _responds(self):
        with redis.Redis.from_url(self.url) as client, contextlib.suppress(redis.RedisError):
            return client.ping()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    running = Redis(tmp_path_factory.mktemp("redis"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def server(cache, start_server):
    settings = {"CACHE_URL": cache.url, "AUTH_ACCOUNT_LIMIT": "3/15m", "AUTH_ADDRESS_LIMIT": "1000/15m"}
    return start_server(**settings)


def try_to_sign_in(server, name, password="wrong password"):
    started = time.monotonic()
    status, headers, _ = server.exchange("POST", "/api/auth/signin", {"username": name, "password": password})
    return status, "Retry-After" in headers, time.monotonic() - started


def assert_sign_ins_get_503_and_sessions_continue(server, pair):
    name = pair["username"]
    attempts = [try_to_sign_in(server, name), try_to_sign_in(server, name, PASSWORD)]
    attempts += repeat_concurrently(4, lambda _: try_to_sign_in(server, name))

    assert {(status, has_retry_after) for status, has_retry_after, _ in attempts} == {(503, True)}
    assert max(duration for _, _, duration in attempts) < 10
    assert server.request("GET", "/readyz")[0] == 503
    assert server.request("GET", "/healthz")[0] == 200
    assert server.content(pair) == 200
    status, successor = server.refresh(pair)
    assert (status, server.content(successor)) == (200, 200)


def test_while_the_cache_is_stopped_sign_ins_get_503_and_sessions_continue(server, cache):
    pair = server.sign_in("alice")
    assert [try_to_sign_in(server, "alice")[0] for _ in range(2)] == [401, 401]
    cache.stop()
    try:
        assert_sign_ins_get_503_and_sessions_continue(server, pair)
    finally:
        cache.start()

    wait_until(lambda: server.request("GET", "/readyz")[0] == 200)
    assert [try_to_sign_in(server, "alice")[0] for _ in range(3)] == [401, 429, 429]


def test_while_the_cache_is_frozen_sign_ins_get_503_and_sessions_continue(server, cache):
    pair = server.sign_in("bob")
    with cache.frozen():
        assert_sign_ins_get_503_and_sessions_continue(server, pair)

    wait_until(lambda: server.request("GET", "/readyz")[0] == 200)
    assert try_to_sign_in(server, "bob", PASSWORD)[0] in (200, 429)
    assert server.sign_in("carol")
