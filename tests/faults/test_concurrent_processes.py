"""Test concurrent requests to several server processes, and management commands that run at the same time."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from threading import Barrier, Event

import pytest

from tests.factories import PASSWORD
from tests.factors.conftest import App

CONCURRENCY = 25
_numbers = count(1)


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture of conftest.py: these tests use only the database of the server."""


@pytest.fixture(scope="module")
def server(start_server):
    settings = {"WORKERS": "3", "AUTH_ADDRESS_LIMIT": f"{CONCURRENCY}/15m", "AUTH_REFRESH_TOKEN_GRACE": "60"}
    return start_server(**settings)


class Person:
    """A user with an IP address of their own."""

    def __init__(self, server):
        self.server = server
        number = next(_numbers)
        self.name = f"person{number}"
        self.address = f"192.0.2.{number}"

    def post(self, path, **body):
        return self.server.post(f"/api/auth/{path}", body, **{"X-Forwarded-For": self.address})

    def sign_up(self, **fields):
        email = f"{self.name}@example.com"
        return self.post("signup", **{"username": self.name, "email": email, "password": PASSWORD, **fields})

    def sign_in(self, name=None, password=PASSWORD):
        return self.post("signin", username=name or self.name, password=password)

    def refresh(self, token):
        return self.post("refreshtoken", refreshToken=token)

    def content(self, access_token, name="user"):
        return self.server.request("GET", f"/api/test/{name}", Authorization=f"Bearer {access_token}")[0]


@pytest.fixture
def person(server):
    new_person = Person(server)
    assert new_person.sign_up()[0] == 201
    return new_person


@pytest.fixture
def pair(person):
    return person.sign_in()[1]


def run_concurrently(*tasks):
    barrier = Barrier(len(tasks))

    def run(task):
        barrier.wait(timeout=30)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


@contextmanager
def repeating(*tasks):
    """Call each task repeatedly in a thread while the block runs; yield the growing list of results."""
    stop, responses = Event(), []

    def repeat(task):
        while not stop.is_set():
            responses.append(task())

    with ThreadPoolExecutor(len(tasks)) as pool:
        futures = [pool.submit(repeat, task) for task in tasks]
        try:
            yield responses
        finally:
            stop.set()
        for future in futures:
            future.result()


def codes(responses):
    return {(status, body and body.get("code")) for status, body in responses}


def count_sessions(server, access_token):
    status, body = server.request("GET", "/api/auth/sessions", Authorization=f"Bearer {access_token}")
    assert status == 200
    return body.count(b'"id"')


def test_concurrent_refreshes_of_each_generation_have_one_successor_and_one_row(server, person, pair):
    token = pair["refreshToken"]
    for _ in range(4):
        responses = run_concurrently(*[partial(person.refresh, token)] * CONCURRENCY)

        assert codes(responses) == {(200, None)}
        (token,) = {body["refreshToken"] for _, body in responses}
        assert {person.content(body["accessToken"]) for _, body in responses} == {200}
    assert count_sessions(server, responses[0][1]["accessToken"]) == 1


def test_concurrent_replays_of_a_used_token_end_the_session_once(server, person, pair):
    second = person.refresh(pair["refreshToken"])[1]
    third = person.refresh(second["refreshToken"])[1]

    responses = run_concurrently(*[partial(person.refresh, pair["refreshToken"])] * CONCURRENCY)

    assert codes(responses) <= {(403, "refresh_token_reused"), (403, "refresh_token_revoked")}
    assert codes([person.refresh(third["refreshToken"])]) == {(403, "refresh_token_revoked")}
    assert person.content(third["accessToken"]) == 401
    lines = [line for line in server.log.read_text().splitlines() if '"session:ended"' in line]
    assert sum('"reason": "reused"' in line for line in lines) == 1


@pytest.mark.parametrize("path", ["signout", "signout-all"])
def test_no_token_survives_a_concurrent_sign_out(server, person, path):
    for _ in range(3):
        pair = person.sign_in()[1]

        def sign_out(pair=pair):
            bearer = {"Authorization": f"Bearer {pair['accessToken']}"}
            return server.post(f"/api/auth/{path}", {}, **bearer)

        *responses, (status, _) = run_concurrently(*[partial(person.refresh, pair["refreshToken"])] * 8, sign_out)

        assert status == 204
        assert codes(responses) <= {(200, None), (403, "refresh_token_revoked")}
        for _, body in responses:
            if "accessToken" in body:
                assert person.content(body["accessToken"]) == 401
                assert codes([person.refresh(body["refreshToken"])]) == {(403, "refresh_token_revoked")}


def test_a_token_issued_after_a_role_change_has_the_new_roles(server, person, pair):
    """A token issued before the change gets 401, or the status that the new roles require."""
    latest = {"token": pair["refreshToken"]}

    def request_moderator_content():
        _, body = person.refresh(latest["token"])
        latest["token"] = body["refreshToken"]
        return person.content(body["accessToken"], "mod"), body["accessToken"]

    for command, status in (("grantrole", 200), ("revokerole", 403), ("grantrole", 200)):
        with repeating(request_moderator_content) as responses:
            server.manage(command, person.name, "moderator")
            before = [access_token for _, access_token in list(responses)]
        later = [request_moderator_content() for _ in range(6)]

        assert {status for status, _ in later} == {status}
        assert {status for status, _ in responses} <= {200, 401, 403}
        assert {person.content(access_token, "mod") for access_token in before} <= {401, status}


@pytest.mark.parametrize("same_field", ["name", "address", "both"])
def test_only_one_of_duplicate_sign_ups_succeeds(server, same_field):
    people = [Person(server) for _ in range(CONCURRENCY // 3)]
    first = people[0]
    same = {"username": first.name.upper()} if same_field != "address" else {}
    if same_field != "name":
        same["email"] = f"{first.name}@EXAMPLE.com"

    responses = run_concurrently(*[partial(duplicate.sign_up, **same) for duplicate in people])

    taken = {"name": ["username_taken"], "address": ["email_taken"], "both": ["username_taken", "email_taken"]}
    assert Counter(status for status, _ in responses) == {201: 1, 400: len(people) - 1}
    assert codes(responses) <= {(201, None), *((400, code) for code in taken[same_field])}
    created = next(body for status, body in responses if status == 201)
    assert first.sign_in(created["username"])[0] == 200


EXPIRE = """
from django.utils import timezone
from accounts.models import RefreshToken
RefreshToken.objects.filter(owner__username="{}").update(expires_at=timezone.now())
"""


def test_a_purge_during_refreshes_deletes_only_expired_sessions(server, person, pair):
    other = Person(server)
    other.sign_up()
    expiring = [other.sign_in()[1]["refreshToken"] for _ in range(12)]
    latest = {"token": pair["refreshToken"]}

    def refresh_valid():
        status, body = person.refresh(latest["token"])
        latest["token"] = body.get("refreshToken")
        return "valid", (status, body)

    def refresh_expiring(token):
        return lambda: ("expiring", other.refresh(token))

    server.manage("shell", "-c", EXPIRE.format(other.name))
    with (
        repeating(refresh_valid, *map(refresh_expiring, expiring[:3])) as responses,
        ThreadPoolExecutor(2) as pool,
    ):
        list(pool.map(lambda _: server.manage("purge_expired_tokens", "--batch-size", "1"), range(2)))

    assert codes(response for kind, response in responses if kind == "valid") == {(200, None)}
    assert codes(response for kind, response in responses if kind == "expiring") <= {
        (403, "refresh_token_expired"),
        (403, "refresh_token_unknown"),
    }
    assert codes(other.refresh(token) for token in expiring) == {(403, "refresh_token_unknown")}


def test_strangers_from_many_ip_addresses_share_one_limit_and_do_not_lock_the_owner_out(server, person):
    strangers = [Person(server) for _ in range(CONCURRENCY)]

    *responses, owner_response = run_concurrently(
        *[partial(stranger.sign_in, person.name, "a wrong one") for stranger in strangers], person.sign_in
    )

    assert Counter(status for status, _ in responses) == {401: 10, 429: CONCURRENCY - 10}
    assert owner_response[0] == 200


def test_correct_passwords_among_wrong_ones_do_not_raise_the_limit(person):
    person.sign_in()

    responses = run_concurrently(*[partial(person.sign_in, None, "a wrong one"), person.sign_in] * 12)

    wrong = [status for status, _ in responses[::2]]
    later = [person.sign_in(password="a wrong one")[0] for _ in range(11)]
    assert {status for status, _ in responses} <= {200, 401, 429}
    assert Counter([*wrong, *later]) == {401: 10, 429: len(wrong) + 1}


def test_failures_from_one_ip_address_on_many_accounts_share_its_limit(server):
    stranger = Person(server)

    responses = run_concurrently(
        *[partial(stranger.sign_in, f"unknown{number}") for number in range(2 * CONCURRENCY)]
    )

    assert Counter(status for status, _ in responses) == {401: CONCURRENCY, 429: CONCURRENCY}


@pytest.mark.parametrize("kind", ["code", "recoveryCode"])
def test_one_code_used_fifty_times_at_once_opens_one_session(person, kind):
    access = {"Authorization": f"Bearer {person.sign_in()[1]['accessToken']}"}
    begun = person.server.post("/api/auth/factors/totp", {}, **access)[1]
    app = App(begun["secret"])
    confirmation = {"id": begun["id"], "code": app.code()}
    confirmed = person.server.post("/api/auth/factors/totp/confirm", confirmation, **access)[1]
    value = {"code": app.code(steps=1), "recoveryCode": confirmed["recoveryCodes"][0]}[kind]
    auth_sessions = [person.sign_in()[1]["authSession"] for _ in range(5)]

    uses = [
        partial(person.post, "signin/second-factor", authSession=auth_session, **{kind: value})
        for auth_session in auth_sessions * 10
    ]
    statuses = Counter(status for status, _ in run_concurrently(*uses))

    assert statuses[200] == 1
    assert statuses.keys() <= {200, 403, 429}  # limits on failed attempts apply as well
    listed = json.loads(person.server.request("GET", "/api/auth/sessions", **access)[1])
    assert [session["acr"] for session in listed] == ["2", "2"]
