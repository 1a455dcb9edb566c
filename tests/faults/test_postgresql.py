"""Test a running service whose PostgreSQL stops, freezes or becomes read-only."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.environment import ON_POSTGRESQL
from tests.factories import PASSWORD
from tests.servers import PostgreSQL, repeat_concurrently, wait_until

pytestmark = pytest.mark.skipif(not ON_POSTGRESQL, reason="needs PostgreSQL")


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture of conftest.py: these tests use only the database of the server."""


@pytest.fixture(scope="module")
def postgresql():
    running = PostgreSQL()
    yield running
    running.remove()


@pytest.fixture(scope="module")
def server(postgresql, start_server):
    # The tests replay refresh tokens more than ten seconds later, the default grace.
    settings = {"DATABASE_URL": postgresql.url, "AUTH_REFRESH_TOKEN_GRACE": "600", "AUTH_ACCOUNT_LIMIT": ""}
    return start_server(**settings)


@pytest.fixture
def pair(server, request):
    return server.sign_in(f"user{abs(hash(request.node.name))}")


def exchange(server, method, path, body=None, **headers):
    status, response_headers, content = server.exchange(method, path, body, **headers)
    return status, json.loads(content).get("code"), int(response_headers.get("Retry-After", 0)) > 0


UNAVAILABLE = (503, "unavailable", True)


def requests_that_need_the_database(server, pair):
    """Return functions that send one request each, for which the service needs the database."""
    bearer = {"Authorization": f"Bearer {pair['accessToken']}"}
    name = pair["username"]
    account = {"username": f"{name}2", "email": f"{name}2@example.com", "password": PASSWORD}
    # Not the session of `pair`: a database that resumes may still execute the sign-out.
    other = server.sign_in(f"{name}3")
    return [
        lambda: exchange(server, "GET", "/readyz"),
        lambda: exchange(server, "GET", "/api/test/user", **bearer),
        lambda: exchange(server, "GET", "/api/auth/sessions", **bearer),
        lambda: exchange(server, "POST", "/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]}),
        lambda: exchange(server, "POST", "/api/auth/signin", {"username": name, "password": PASSWORD}),
        lambda: exchange(server, "POST", "/api/auth/signup", account),
        lambda: exchange(server, "POST", "/api/auth/signout", {"refreshToken": other["refreshToken"]}),
        lambda: exchange(server, "GET", "/admin/login/", Cookie="sessionid=" + "x" * 32),
    ]


def assert_recovered(server, pair):
    # After a timeout, each process pauses before it connects again.
    wait_until(lambda: set(repeat_concurrently(20, lambda _: server.request("GET", "/readyz")[0])) == {200})
    status, successor = server.refresh(pair)
    assert (status, server.content(successor)) == (200, 200)
    assert set(repeat_concurrently(20, lambda _: server.content(successor))) == {200}
    assert server.refresh(successor)[0] == 200


def test_no_request_fails_after_an_idle_database_restarts(server, postgresql, pair):
    assert set(repeat_concurrently(20, lambda _: server.content(pair))) == {200}

    postgresql.stop()
    postgresql.start()

    assert set(repeat_concurrently(20, lambda _: server.content(pair))) == {200}
    assert_recovered(server, pair)


def test_requests_that_need_a_stopped_database_get_503_until_it_starts(server, postgresql, pair):
    requests = requests_that_need_the_database(server, pair)
    postgresql.stop()
    try:
        responses = repeat_concurrently(len(requests) * 2, lambda number: requests[number % len(requests)]())
        alive = [
            server.request("GET", path)[0] for path in ("/healthz", "/.well-known/jwks.json", "/api/test/all")
        ]
    finally:
        postgresql.start()

    assert set(responses) == {UNAVAILABLE}
    assert set(alive) == {200}
    assert_recovered(server, pair)


def test_requests_that_need_a_frozen_database_get_503_within_seconds(server, postgresql, pair):
    requests = requests_that_need_the_database(server, pair)
    assert set(repeat_concurrently(20, lambda _: server.content(pair))) == {200}
    started = time.monotonic()
    with postgresql.frozen():
        responses = repeat_concurrently(
            len(requests), lambda number: (requests[number](), time.monotonic() - started)
        )

    assert {response for response, _ in responses} == {UNAVAILABLE}
    assert max(duration for _, duration in responses) < 13
    assert_recovered(server, pair)


def test_liveness_probes_and_public_keys_do_not_wait_for_the_database(server, postgresql, pair):
    requests = requests_that_need_the_database(server, pair)
    with postgresql.frozen(), ThreadPoolExecutor(len(requests)) as pool:
        futures = [pool.submit(request) for request in requests]
        started = time.monotonic()
        alive = [server.request("GET", path)[0] for path in ("/healthz", "/.well-known/jwks.json") * 5]
        duration = time.monotonic() - started
        responses = [future.result() for future in futures]

    assert set(alive) == {200}
    assert duration < 5  # requests that wait for a connection time out after five seconds
    assert set(responses) == {UNAVAILABLE}
    assert_recovered(server, pair)


def test_with_a_read_only_database_writes_get_503_and_reads_succeed(server, postgresql, pair):
    bearer = {"Authorization": f"Bearer {pair['accessToken']}"}
    writes = requests_that_need_the_database(server, pair)[3:-1]
    with postgresql.read_only():
        wait_until(lambda: server.refresh(pair)[0] != 200)
        responses = repeat_concurrently(len(writes) * 2, lambda number: writes[number % len(writes)]())
        read = [
            server.request("GET", path, **bearer)[0]
            for path in ("/readyz", "/api/test/user", "/api/auth/sessions", "/api/auth/me", "/admin/login/")
        ]

    assert set(responses) == {UNAVAILABLE}
    assert set(read) == {200}
    wait_until(lambda: server.refresh(pair)[0] == 200)
    assert_recovered(server, pair)
