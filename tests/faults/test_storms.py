"""Many at once over several processes of the real server, beside commands that are processes of their own."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from threading import Barrier, Event

import pytest

from tests.factories import PASSWORD

AT_ONCE = 25
_numbers = count(1)


@pytest.fixture(autouse=True)
def _transactions_that_roll_back():
    """Give the tests no database: the server has its own, which is not made inside a transaction."""


@pytest.fixture(scope="module")
def server(served):
    settings = {"WORKERS": "3", "AUTH_ADDRESS_LIMIT": f"{AT_ONCE}/15m", "AUTH_REFRESH_TOKEN_GRACE": "60"}
    return served(**settings)


class Person:
    """Somebody with an address of one's own."""

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
    one = Person(server)
    assert one.sign_up()[0] == 201
    return one


@pytest.fixture
def pair(person):
    return person.sign_in()[1]


def at_once(*tasks):
    barrier = Barrier(len(tasks))

    def run(task):
        barrier.wait(timeout=30)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


@contextmanager
def going_on(*tasks):
    """Do each task again and again for as long as the block takes; a list of what they returned is filled."""
    stop, answers = Event(), []

    def repeat(task):
        while not stop.is_set():
            answers.append(task())

    with ThreadPoolExecutor(len(tasks)) as pool:
        going = [pool.submit(repeat, task) for task in tasks]
        try:
            yield answers
        finally:
            stop.set()
        for task in going:
            task.result()


def codes(answers):
    return {(status, body and body.get("code")) for status, body in answers}


def sessions_of(server, access_token):
    status, body = server.request("GET", "/api/auth/sessions", Authorization=f"Bearer {access_token}")
    assert status == 200
    return body.count(b'"id"')


def test_a_storm_on_each_generation_has_one_successor_and_one_row(server, person, pair):
    token = pair["refreshToken"]
    for _ in range(4):
        answers = at_once(*[partial(person.refresh, token)] * AT_ONCE)

        assert codes(answers) == {(200, None)}
        (token,) = {body["refreshToken"] for _, body in answers}
        assert {person.content(body["accessToken"]) for _, body in answers} == {200}
    assert sessions_of(server, answers[0][1]["accessToken"]) == 1


def test_a_storm_of_a_stolen_token_ends_the_session_once(server, person, pair):
    second = person.refresh(pair["refreshToken"])[1]
    third = person.refresh(second["refreshToken"])[1]

    answers = at_once(*[partial(person.refresh, pair["refreshToken"])] * AT_ONCE)

    assert codes(answers) <= {(403, "refresh_token_reused"), (403, "refresh_token_revoked")}
    assert codes([person.refresh(third["refreshToken"])]) == {(403, "refresh_token_revoked")}
    assert person.content(third["accessToken"]) == 401
    lines = [line for line in server.log.read_text().splitlines() if '"session:ended"' in line]
    assert sum('"reason": "reused"' in line for line in lines) == 1


@pytest.mark.parametrize("path", ["signout", "signout-all"])
def test_nobody_refreshes_past_a_sign_out(server, person, path):
    for _ in range(3):
        pair = person.sign_in()[1]

        def signing_out(pair=pair):
            bearer = {"Authorization": f"Bearer {pair['accessToken']}"}
            return server.post(f"/api/auth/{path}", {}, **bearer)

        *answers, (status, _) = at_once(*[partial(person.refresh, pair["refreshToken"])] * 8, signing_out)

        assert status == 204
        assert codes(answers) <= {(200, None), (403, "refresh_token_revoked")}
        for _, body in answers:
            if "accessToken" in body:
                assert person.content(body["accessToken"]) == 401
                assert codes([person.refresh(body["refreshToken"])]) == {(403, "refresh_token_revoked")}


def test_a_token_from_after_a_role_change_has_the_new_roles(server, person, pair):
    """One from before is stale: with it nobody is told that a role is missing, and nobody keeps one."""
    held = {"token": pair["refreshToken"]}

    def going_to_the_moderators():
        _, body = person.refresh(held["token"])
        held["token"] = body["refreshToken"]
        return person.content(body["accessToken"], "mod"), body["accessToken"]

    for command, status in (("grantrole", 200), ("revokerole", 403), ("grantrole", 200)):
        with going_on(going_to_the_moderators) as answers:
            server.manage(command, person.name, "moderator")
            before = [access_token for _, access_token in list(answers)]
        later = [going_to_the_moderators() for _ in range(6)]

        assert {status for status, _ in later} == {status}
        assert {status for status, _ in answers} <= {200, 401, 403}
        assert {person.content(access_token, "mod") for access_token in before} <= {401, status}


@pytest.mark.parametrize("alike", ["name", "address", "both"])
def test_of_duplicate_sign_ups_one_succeeds(server, alike):
    people = [Person(server) for _ in range(AT_ONCE // 3)]
    first = people[0]
    same = {"username": first.name.upper()} if alike != "address" else {}
    if alike != "name":
        same["email"] = f"{first.name}@EXAMPLE.com"

    answers = at_once(*[partial(one.sign_up, **same) for one in people])

    taken = {"name": ["username_taken"], "address": ["email_taken"], "both": ["username_taken", "email_taken"]}
    assert Counter(status for status, _ in answers) == {201: 1, 400: len(people) - 1}
    assert codes(answers) <= {(201, None), *((400, code) for code in taken[alike])}
    made = next(body for status, body in answers if status == 201)
    assert first.sign_in(made["username"])[0] == 200


EXPIRE = """
from django.utils import timezone
from accounts.models import RefreshToken
RefreshToken.objects.filter(owner__username="{}").update(expires_at=timezone.now())
"""


def test_a_purge_beside_refreshes_takes_what_is_expired_and_nothing_else(server, person, pair):
    other = Person(server)
    other.sign_up()
    dying = [other.sign_in()[1]["refreshToken"] for _ in range(12)]
    held = {"token": pair["refreshToken"]}

    def living():
        status, body = person.refresh(held["token"])
        held["token"] = body.get("refreshToken")
        return "living", (status, body)

    def refreshing(token):
        return lambda: ("dying", other.refresh(token))

    server.manage("shell", "-c", EXPIRE.format(other.name))
    with going_on(living, *map(refreshing, dying[:3])) as answers, ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: server.manage("purge_expired_tokens", "--batch-size", "1"), range(2)))

    assert codes(answer for who, answer in answers if who == "living") == {(200, None)}
    assert codes(answer for who, answer in answers if who == "dying") <= {
        (403, "refresh_token_expired"),
        (403, "refresh_token_unknown"),
    }
    assert codes(other.refresh(token) for token in dying) == {(403, "refresh_token_unknown")}


def test_strangers_of_many_addresses_have_one_limit_and_do_not_lock_the_owner_out(server, person):
    strangers = [Person(server) for _ in range(AT_ONCE)]

    *answers, owner = at_once(
        *[partial(stranger.sign_in, person.name, "a wrong one") for stranger in strangers], person.sign_in
    )

    assert Counter(status for status, _ in answers) == {401: 10, 429: AT_ONCE - 10}
    assert owner[0] == 200


def test_right_guesses_among_wrong_ones_let_no_more_wrong_ones_through(person):
    person.sign_in()

    answers = at_once(*[partial(person.sign_in, None, "a wrong one"), person.sign_in] * 12)

    wrong = [status for status, _ in answers[::2]]
    later = [person.sign_in(password="a wrong one")[0] for _ in range(11)]
    assert {status for status, _ in answers} <= {200, 401, 429}
    assert Counter([*wrong, *later]) == {401: 10, 429: len(wrong) + 1}


def test_one_address_guesses_on_many_accounts_no_more_often_than_its_limit(server):
    stranger = Person(server)

    answers = at_once(*[partial(stranger.sign_in, f"nobody{number}") for number in range(2 * AT_ONCE)])

    assert Counter(status for status, _ in answers) == {401: AT_ONCE, 429: AT_ONCE}
