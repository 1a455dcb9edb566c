"""What may happen in any order, with real threads: whatever the order was, what the contract says holds."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from django.core.management import call_command

from accounts.conf import Limit
from accounts.models import Activity, RefreshToken, User
from accounts.tokens import access_tokens
from accounts.users import activation, roles
from accounts.values.clients import NO_CLIENT
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_user
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

AT_ONCE = 25


@pytest.fixture
def alice():
    make_user("alice")
    return SignedIn("alice")


def refreshing(token):
    return lambda: Api().refresh(token)


def signing_up(username, email):
    return lambda: Api().sign_up(username, email=email)


def claims_of(answer):
    return access_tokens.verify(answer.json()["accessToken"], at=datetime.now(UTC))


def test_a_storm_on_each_generation_adds_no_row_and_no_second_successor(alice):
    token, generations = alice.refresh_token, 6
    for generation in range(generations):
        answers = at_once(*[refreshing(token)] * AT_ONCE)

        assert {answer.status_code for answer in answers} == {200}
        (token,) = {answer.json()["refreshToken"] for answer in answers}
        assert RefreshToken.objects.get().generation == generation + 1
        assert {alice.get("/api/test/user", answer.json()["accessToken"]).status_code for answer in answers} == {
            200
        }


def test_refreshes_of_two_generations_at_once_end_the_session_or_agree(alice, events):
    for _ in range(5):
        first = SignedIn("alice").refresh_token
        second = alice.refresh(first).json()["refreshToken"]

        answers = at_once(*[refreshing(first), refreshing(second)] * 6)

        # The older one is in grace until the newer one is used, and reuse from then on.
        codes = {answer.json().get("code") for answer in answers}
        assert codes <= {None, "refresh_token_reused", "refresh_token_revoked"}
        assert len({answer.json()["refreshToken"] for answer in answers[::2] if answer.status_code == 200}) <= 1
        assert len({answer.json()["refreshToken"] for answer in answers[1::2] if answer.status_code == 200}) <= 1
        assert "refresh_token_reused" in codes
        assert alice.refresh(second).json()["code"] == "refresh_token_revoked"


def test_roles_and_version_in_a_token_are_of_one_moment(alice):
    """Whoever sees `ver` knows which roles were meant: no token says old roles under a new version."""
    user, token, seen = User.objects.get(), alice.refresh_token, {}

    def changing(change, *names):
        return lambda: change(User.objects.get(), names, NO_CLIENT)

    for _ in range(6):
        answers = at_once(
            *[refreshing(token)] * 6,
            *[lambda: Api().sign_in("alice")] * 3,
            changing(roles.replace, "user", "admin"),
            changing(roles.grant, "moderator"),
            changing(roles.revoke, "admin", "moderator"),
        )
        for answer in answers[:9]:
            assert answer.status_code == 200, answer.content
            claims = claims_of(answer)
            assert seen.setdefault(claims.token_version, claims.roles) == claims.roles
        token = answers[0].json()["refreshToken"]
        user.refresh_from_db()
        for answer in answers[:9]:
            is_current = claims_of(answer).token_version == user.token_version
            status = alice.get("/api/test/user", answer.json()["accessToken"]).status_code
            assert status == (200 if is_current else 401)
        assert claims_of(alice.refresh(token)).roles == user.role_names


def test_nobody_comes_past_a_deactivation(alice, auth):
    auth(account_limit=None)
    user = User.objects.get()
    for _ in range(5):
        session = SignedIn("alice")

        answers = at_once(
            lambda: activation.deactivate(user, NO_CLIENT),
            *[refreshing(session.refresh_token)] * 4,
            *[lambda: Api().sign_in("alice")] * 4,
        )[1:]

        assert {answer.status_code for answer in answers} <= {200, 401, 403}
        activation.activate(user, NO_CLIENT)
        for answer in answers:
            if answer.status_code == 200:
                assert alice.get("/api/test/user", answer.json()["accessToken"]).json()["code"] == "token_revoked"
                assert alice.refresh(answer.json()["refreshToken"]).json()["code"] == "refresh_token_revoked"


def test_of_simultaneous_sign_ups_with_one_address_one_succeeds(auth):
    auth(account_limit=None)
    addresses = ["one@example.com", "ONE@example.com", "ｏne@example.com", " one@example.com"] * 3

    answers = at_once(*[signing_up(f"name{number}", address) for number, address in enumerate(addresses)])

    assert Counter(answer.status_code for answer in answers) == {201: 1, 400: 11}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 400} == {"email_taken"}
    assert User.objects.get().role_names == ("user",)


def test_of_the_same_sign_up_many_times_at_once_one_succeeds(auth):
    auth(account_limit=None)

    answers = at_once(*[signing_up("one", "one@example.com")] * AT_ONCE)

    assert Counter(answer.status_code for answer in answers) == {201: 1, 400: AT_ONCE - 1}
    # Who comes between the two that are looked for finds the second alone.
    codes = {answer.json()["code"] for answer in answers if answer.status_code == 400}
    assert codes <= {"username_taken", "email_taken"}
    assert User.objects.count() == 1
    assert Api().sign_in("one").status_code == 200


def test_of_simultaneous_sign_ups_one_address_gets_no_more_mails_than_the_limit(mailoutbox):
    answers = at_once(*[signing_up(f"name{number}", "one@example.com") for number in range(AT_ONCE)])

    assert Counter(answer.status_code for answer in answers) == {201: 1, 400: 9, 429: AT_ONCE - 10}
    assert len(mailoutbox) <= 10


def test_simultaneous_sign_ups_with_one_address_do_not_tell_which_was_first(auth):
    auth(unverified_signin=False, hide_known_email=True)

    answers = at_once(*[signing_up(f"name{number}", "one@example.com") for number in range(8)])

    assert Counter(answer.status_code for answer in answers) == {201: 8}
    assert {answer.json()["email"] for answer in answers} == {"one@example.com"}
    assert User.objects.with_email("one@example.com").count() == 1
    assert User.objects.count() == 8


def test_a_purge_as_sessions_expire_is_no_fault_and_takes_no_other(alice, clock):
    for _ in range(3):
        dying = [SignedIn("alice") for _ in range(5)]
        clock.advance(hours=23)
        living = SignedIn("alice")
        clock.advance(hours=1)

        answers = at_once(
            *[lambda: call_command("purge_expired_tokens", batch_size=2)] * 2,
            *[refreshing(session.refresh_token) for session in dying],
            *[refreshing(living.refresh_token)] * 5,
        )[2:]

        codes = {answer.json().get("code") for answer in answers[:5]}
        assert codes <= {"refresh_token_expired", "refresh_token_unknown"}
        assert {answer.status_code for answer in answers[5:]} == {200}
        assert alice.refresh(answers[-1].json()["refreshToken"]).status_code == 200
        assert not RefreshToken.objects.expired(datetime.now(UTC)).exists()


def test_right_guesses_among_wrong_ones_let_no_more_wrong_ones_through(alice):
    def guessing_wrong():
        return Api().sign_in("alice", "a wrong one")

    answers = at_once(*[guessing_wrong, lambda: Api().sign_in("alice")] * 12)

    assert {answer.status_code for answer in answers} <= {200, 401, 429}
    assert Counter(answer.status_code for answer in answers)[401] <= 10
    later = [guessing_wrong() for _ in range(11)]
    assert Counter(answer.status_code for answer in [*answers, *later])[401] == 10


def test_guesses_on_many_accounts_at_once_count_against_their_address(auth):
    auth(address_limit=Limit(12, 900))

    answers = at_once(*[lambda number=number: Api().sign_in(f"name{number}", PASSWORD) for number in range(30)])

    assert Counter(answer.status_code for answer in answers) == {401: 12, 429: 18}


def test_wrong_passwords_at_a_step_up_at_once_count_in_full(alice):
    def trying():
        return Api().post("/api/auth/reauthenticate", {"password": "a wrong one"}, alice.access_token)

    answers = at_once(*[trying] * AT_ONCE)

    assert Counter(answer.status_code for answer in answers) == {403: 10, 429: AT_ONCE - 10}
    assert not Activity.objects.filter(event="reauthentication:succeeded").exists()
