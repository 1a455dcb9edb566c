"""A PostgreSQL that stops, freezes or takes no more writes, under a running service."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.environment import ON_POSTGRESQL
from tests.factories import PASSWORD
from tests.servers import PostgreSQL, at_once, until

pytestmark = pytest.mark.skipif(not ON_POSTGRESQL, reason="there is no server to stop")


@pytest.fixture(autouse=True)
def _transactions_that_roll_back():
    """Give the tests no database: what they stop is one of their own."""


@pytest.fixture(scope="module")
def postgresql():
    running = PostgreSQL()
    yield running
    running.remove()


@pytest.fixture(scope="module")
def server(postgresql, served):
    # The tests take their time between a refresh and the next.
    own = {"DATABASE_URL": postgresql.url, "AUTH_REFRESH_TOKEN_GRACE": "600", "AUTH_ACCOUNT_LIMIT": ""}
    return served(**own)


@pytest.fixture
def pair(server, request):
    return server.sign_in(f"user{abs(hash(request.node.name))}")


def refused(server, method, path, body=None, **headers):
    status, told, content = server.exchange(method, path, body, **headers)
    return status, json.loads(content).get("code"), int(told.get("Retry-After", 0)) > 0


UNAVAILABLE = (503, "unavailable", True)


def attempts(server, pair):
    """What cannot be answered without the database, as questions to be asked."""
    bearer = {"Authorization": f"Bearer {pair['accessToken']}"}
    name = pair["username"]
    account = {"username": f"{name}2", "email": f"{name}2@example.com", "password": PASSWORD}
    # It may be ended by a database that goes on with what it was asked.
    other = server.sign_in(f"{name}3")
    return [
        lambda: refused(server, "GET", "/readyz"),
        lambda: refused(server, "GET", "/api/test/user", **bearer),
        lambda: refused(server, "GET", "/api/auth/sessions", **bearer),
        lambda: refused(server, "POST", "/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]}),
        lambda: refused(server, "POST", "/api/auth/signin", {"username": name, "password": PASSWORD}),
        lambda: refused(server, "POST", "/api/auth/signup", account),
        lambda: refused(server, "POST", "/api/auth/signout", {"refreshToken": other["refreshToken"]}),
        lambda: refused(server, "GET", "/admin/login/", Cookie="sessionid=" + "x" * 32),
    ]


def assert_all_is_well(server, pair):
    # Each process leaves a database that did not answer alone for a moment.
    until(lambda: set(at_once(20, lambda _: server.request("GET", "/readyz")[0])) == {200})
    status, following = server.refresh(pair)
    assert (status, server.content(following)) == (200, 200)
    assert set(at_once(20, lambda _: server.content(following))) == {200}
    assert server.refresh(following)[0] == 200


def test_after_a_restart_of_an_idle_database_no_request_fails(server, postgresql, pair):
    assert set(at_once(20, lambda _: server.content(pair))) == {200}

    postgresql.stop()
    postgresql.start()

    assert set(at_once(20, lambda _: server.content(pair))) == {200}
    assert_all_is_well(server, pair)


def test_what_needs_a_database_that_is_stopped_is_503_until_it_is_started(server, postgresql, pair):
    asked = attempts(server, pair)
    postgresql.stop()
    try:
        answers = at_once(len(asked) * 2, lambda number: asked[number % len(asked)]())
        alive = [
            server.request("GET", path)[0] for path in ("/healthz", "/.well-known/jwks.json", "/api/test/all")
        ]
    finally:
        postgresql.start()

    assert set(answers) == {UNAVAILABLE}
    assert set(alive) == {200}
    assert_all_is_well(server, pair)


def test_what_needs_a_database_that_never_answers_is_503_within_seconds(server, postgresql, pair):
    asked = attempts(server, pair)
    assert set(at_once(20, lambda _: server.content(pair))) == {200}
    started = time.monotonic()
    with postgresql.frozen():
        answers = at_once(len(asked), lambda number: (asked[number](), time.monotonic() - started))

    assert {answer for answer, _ in answers} == {UNAVAILABLE}
    assert max(took for _, took in answers) < 13
    assert_all_is_well(server, pair)


def test_a_probe_of_liveness_and_other_services_wait_for_no_database(server, postgresql, pair):
    asked = attempts(server, pair)
    with postgresql.frozen(), ThreadPoolExecutor(len(asked)) as pool:
        waiting = [pool.submit(attempt) for attempt in asked]
        started = time.monotonic()
        alive = [server.request("GET", path)[0] for path in ("/healthz", "/.well-known/jwks.json") * 5]
        took = time.monotonic() - started
        answers = [one.result() for one in waiting]

    assert set(alive) == {200}
    assert took < 5  # a connection is given up after five seconds
    assert set(answers) == {UNAVAILABLE}
    assert_all_is_well(server, pair)


def test_a_database_that_takes_no_writes_is_503_for_them_and_read_from(server, postgresql, pair):
    bearer = {"Authorization": f"Bearer {pair['accessToken']}"}
    writes = attempts(server, pair)[3:-1]
    with postgresql.read_only():
        until(lambda: server.refresh(pair)[0] != 200)
        answers = at_once(len(writes) * 2, lambda number: writes[number % len(writes)]())
        read = [
            server.request("GET", path, **bearer)[0]
            for path in ("/readyz", "/api/test/user", "/api/auth/sessions", "/api/auth/me", "/admin/login/")
        ]

    assert set(answers) == {UNAVAILABLE}
    assert set(read) == {200}
    until(lambda: server.refresh(pair)[0] == 200)
    assert_all_is_well(server, pair)
