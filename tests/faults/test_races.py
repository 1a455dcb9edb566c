"""Test concurrent requests in threads whose order is undefined: the documented rules must hold in every order."""

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
from tests.threads import run_concurrently

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

CONCURRENCY = 25


@pytest.fixture
def alice():
    make_user("alice")
    return SignedIn("alice")


def refresh_with(token):
    return lambda: Api().refresh(token)


def sign_up_with(username, email):
    return lambda: Api().sign_up(username, email=email)


def claims_in(response):
    return access_tokens.verify(response.json()["accessToken"], at=datetime.now(UTC))


def test_concurrent_refreshes_of_each_generation_add_no_row_and_have_one_successor(alice):
    token, generations = alice.refresh_token, 6
    for generation in range(generations):
        responses = run_concurrently(*[refresh_with(token)] * CONCURRENCY)

        assert {response.status_code for response in responses} == {200}
        (token,) = {response.json()["refreshToken"] for response in responses}
        assert RefreshToken.objects.get().generation == generation + 1
        assert {
            alice.get("/api/test/user", response.json()["accessToken"]).status_code for response in responses
        } == {200}


def test_concurrent_refreshes_of_two_generations_end_the_session(alice, events):
    for _ in range(5):
        first = SignedIn("alice").refresh_token
        second = alice.refresh(first).json()["refreshToken"]

        responses = run_concurrently(*[refresh_with(first), refresh_with(second)] * 6)

        # The older token is within the grace until the newer one is used; from then on it counts as reused.
        codes = {response.json().get("code") for response in responses}
        assert codes <= {None, "refresh_token_reused", "refresh_token_revoked"}
        assert (
            len({response.json()["refreshToken"] for response in responses[::2] if response.status_code == 200})
            <= 1
        )
        assert (
            len({response.json()["refreshToken"] for response in responses[1::2] if response.status_code == 200})
            <= 1
        )
        assert "refresh_token_reused" in codes
        assert alice.refresh(second).json()["code"] == "refresh_token_revoked"


def test_the_roles_and_version_of_a_token_are_read_together(alice):
    """All tokens with the same `ver` have the same roles: none has the old roles with the new version."""
    user, token, roles_by_version = User.objects.get(), alice.refresh_token, {}

    def change_roles(change, *names):
        return lambda: change(User.objects.get(), names, NO_CLIENT)

    for _ in range(6):
        responses = run_concurrently(
            *[refresh_with(token)] * 6,
            *[lambda: Api().sign_in("alice")] * 3,
            change_roles(roles.replace, "user", "admin"),
            change_roles(roles.grant, "moderator"),
            change_roles(roles.revoke, "admin", "moderator"),
        )
        for response in responses[:9]:
            assert response.status_code == 200, response.content
            claims = claims_in(response)
            assert roles_by_version.setdefault(claims.token_version, claims.roles) == claims.roles
        token = responses[0].json()["refreshToken"]
        user.refresh_from_db()
        for response in responses[:9]:
            is_current = claims_in(response).token_version == user.token_version
            status = alice.get("/api/test/user", response.json()["accessToken"]).status_code
            assert status == (200 if is_current else 401)
        assert claims_in(alice.refresh(token)).roles == user.role_names


def test_no_token_survives_a_concurrent_deactivation(alice, override_auth):
    override_auth(account_limit=None)
    user = User.objects.get()
    for _ in range(5):
        session = SignedIn("alice")

        responses = run_concurrently(
            lambda: activation.deactivate(user, NO_CLIENT),
            *[refresh_with(session.refresh_token)] * 4,
            *[lambda: Api().sign_in("alice")] * 4,
        )[1:]

        assert {response.status_code for response in responses} <= {200, 401, 403}
        activation.activate(user, NO_CLIENT)
        for response in responses:
            if response.status_code == 200:
                assert (
                    alice.get("/api/test/user", response.json()["accessToken"]).json()["code"] == "token_revoked"
                )
                assert alice.refresh(response.json()["refreshToken"]).json()["code"] == "refresh_token_revoked"


def test_only_one_of_concurrent_sign_ups_with_the_same_email_succeeds(override_auth):
    override_auth(account_limit=None)
    addresses = ["one@example.com", "ONE@example.com", "ｏne@example.com", " one@example.com"] * 3

    responses = run_concurrently(
        *[sign_up_with(f"name{number}", address) for number, address in enumerate(addresses)]
    )

    assert Counter(response.status_code for response in responses) == {201: 1, 400: 11}
    assert {response.json()["code"] for response in responses if response.status_code == 400} == {"email_taken"}
    assert User.objects.get().role_names == ("user",)


def test_only_one_of_identical_concurrent_sign_ups_succeeds(override_auth):
    override_auth(account_limit=None)

    responses = run_concurrently(*[sign_up_with("one", "one@example.com")] * CONCURRENCY)

    assert Counter(response.status_code for response in responses) == {201: 1, 400: CONCURRENCY - 1}
    # A sign-up that runs between the checks for the username and the email finds only the email taken.
    codes = {response.json()["code"] for response in responses if response.status_code == 400}
    assert codes <= {"username_taken", "email_taken"}
    assert User.objects.count() == 1
    assert Api().sign_in("one").status_code == 200


def test_concurrent_sign_ups_send_one_address_no_more_emails_than_the_limit(mailoutbox):
    responses = run_concurrently(
        *[sign_up_with(f"name{number}", "one@example.com") for number in range(CONCURRENCY)]
    )

    assert Counter(response.status_code for response in responses) == {201: 1, 400: 9, 429: CONCURRENCY - 10}
    assert len(mailoutbox) <= 10


def test_concurrent_sign_ups_with_one_email_do_not_reveal_which_was_first(override_auth):
    override_auth(unverified_signin=False, hide_known_email=True)

    responses = run_concurrently(*[sign_up_with(f"name{number}", "one@example.com") for number in range(8)])

    assert Counter(response.status_code for response in responses) == {201: 8}
    assert {response.json()["email"] for response in responses} == {"one@example.com"}
    assert User.objects.with_email("one@example.com").count() == 1
    assert User.objects.count() == 8


def test_a_purge_while_sessions_expire_deletes_only_those(alice, clock):
    for _ in range(3):
        expiring = [SignedIn("alice") for _ in range(5)]
        clock.advance(hours=23)
        valid = SignedIn("alice")
        clock.advance(hours=1)

        responses = run_concurrently(
            *[lambda: call_command("purge_expired_tokens", batch_size=2)] * 2,
            *[refresh_with(session.refresh_token) for session in expiring],
            *[refresh_with(valid.refresh_token)] * 5,
        )[2:]

        codes = {response.json().get("code") for response in responses[:5]}
        assert codes <= {"refresh_token_expired", "refresh_token_unknown"}
        assert {response.status_code for response in responses[5:]} == {200}
        assert alice.refresh(responses[-1].json()["refreshToken"]).status_code == 200
        assert not RefreshToken.objects.expired(datetime.now(UTC)).exists()


def test_correct_passwords_among_wrong_ones_do_not_raise_the_limit(alice):
    def fail_to_sign_in():
        return Api().sign_in("alice", "a wrong one")

    responses = run_concurrently(*[fail_to_sign_in, lambda: Api().sign_in("alice")] * 12)

    assert {response.status_code for response in responses} <= {200, 401, 429}
    assert Counter(response.status_code for response in responses)[401] <= 10
    later = [fail_to_sign_in() for _ in range(11)]
    assert Counter(response.status_code for response in [*responses, *later])[401] == 10


def test_concurrent_failures_on_many_accounts_count_against_one_ip_address(override_auth):
    override_auth(address_limit=Limit(12, 900))

    responses = run_concurrently(
        *[lambda number=number: Api().sign_in(f"name{number}", PASSWORD) for number in range(30)]
    )

    assert Counter(response.status_code for response in responses) == {401: 12, 429: 18}


def test_concurrent_wrong_passwords_at_a_step_up_are_all_counted(alice):
    def fail_to_reauthenticate():
        return Api().post("/api/auth/reauthenticate", {"password": "a wrong one"}, alice.access_token)

    responses = run_concurrently(*[fail_to_reauthenticate] * CONCURRENCY)

    assert Counter(response.status_code for response in responses) == {403: 10, 429: CONCURRENCY - 10}
    assert not Activity.objects.filter(event="reauthentication:succeeded").exists()
