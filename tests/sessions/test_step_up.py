"""POST /api/auth/reauthenticate, and the actions that require it."""

import datetime as dt

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.conf import Limit
from accounts.models import RefreshToken, User
from accounts.tokens import access_tokens
from accounts.users import passwords
from accounts.values.clients import NO_CLIENT
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user

URL = "/api/auth/reauthenticate"


def confirm(signed_in, password=PASSWORD):
    return signed_in.post(URL, {"password": password}, signed_in.access_token)


def auth_time(token):
    return access_tokens.verify(token, at=timezone.now()).auth_time


def test_the_password_returns_an_access_token_with_a_fresh_auth_time(signed_in, clock):
    clock.advance(minutes=10)
    response = confirm(signed_in)

    body = response.json()
    assert (response.status_code, set(body)) == (200, {"accessToken", "tokenType", "expiresIn"})
    assert (body["tokenType"], body["expiresIn"], response["Cache-Control"]) == ("Bearer", 900, "no-store")
    assert auth_time(body["accessToken"]) == int(dt.datetime.now(dt.UTC).timestamp())
    assert auth_time(signed_in.access_token) == auth_time(body["accessToken"]) - 600
    assert access_tokens.verify(body["accessToken"], at=timezone.now()).session_id == signed_in.claims.session_id


def test_a_refresh_keeps_the_auth_time_and_never_renews_it(signed_in, clock):
    first = signed_in.claims.auth_time
    clock.advance(minutes=1)
    pair = signed_in.refresh(signed_in.refresh_token).json()
    assert auth_time(pair["accessToken"]) == first

    clock.advance(minutes=1)
    confirm(signed_in)
    clock.advance(minutes=1)
    pair = signed_in.refresh(pair["refreshToken"]).json()
    assert auth_time(pair["accessToken"]) == first + 120


def test_sensitive_actions_require_a_recent_authentication_and_say_how_recent(signed_in, clock, override_auth):
    override_auth(recent_authentication=60)
    clock.advance(seconds=61)

    for response in (
        signed_in.delete("/api/auth/me", signed_in.access_token),
        signed_in.patch("/api/auth/me", {"username": "x"}, signed_in.access_token),
    ):
        body = response.json()
        assert (response.status_code, body["code"], body["maxAge"]) == (403, "recent_authentication_required", 60)
        assert response["WWW-Authenticate"].startswith(
            'Bearer realm="api", error="insufficient_user_authentication"'
        )
        assert 'max_age="60"' in response["WWW-Authenticate"]


def test_sensitive_actions_are_allowed_after_reauthentication(signed_in, clock, assert_refused):
    clock.advance(seconds=301)
    assert_refused(signed_in.delete("/api/auth/me", signed_in.access_token), 403, "recent_authentication_required")

    fresh = confirm(signed_in).json()["accessToken"]

    assert signed_in.delete("/api/auth/me", fresh).status_code == 204


def test_a_sign_in_is_recent_for_exactly_the_configured_seconds(signed_in, clock, assert_refused):
    clock.advance(seconds=300)
    assert signed_in.patch("/api/auth/me", {"username": "x"}, signed_in.access_token).status_code == 200

    clock.advance(seconds=1)
    response = signed_in.patch("/api/auth/me", {"username": "y"}, signed_in.access_token)
    assert_refused(response, 403, "recent_authentication_required")


def test_reauthentication_does_not_affect_another_session(clock, assert_refused):
    make_user("alice")
    here, there = SignedIn("alice"), SignedIn("alice")
    clock.advance(minutes=6)
    confirm(here)
    there.access_token = there.refresh(there.refresh_token).json()["accessToken"]

    assert_refused(there.delete("/api/auth/me", there.access_token), 403, "recent_authentication_required")


def test_a_wrong_password_has_its_own_code_and_changes_nothing(signed_in, assert_refused):
    before = RefreshToken.objects.values().get()

    for password in ("wrong password", "", "x" * 5000):
        assert_refused(confirm(signed_in, password), 403, "invalid_password")
    assert RefreshToken.objects.values().get() == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"password": None},
        {"password": 5},
        {"password": ["x"]},
        {"password": "\ud800"},
        {"password": "a\x00b"},
        [],
    ],
)
def test_a_body_without_a_password_is_an_invalid_request(signed_in, assert_refused, body):
    assert_refused(signed_in.post(URL, body, signed_in.access_token), 400, "invalid_request")


def test_wrong_passwords_count_together_with_those_at_sign_in(signed_in, override_auth, assert_refused):
    override_auth(account_limit=Limit(4, 900))
    for _ in range(2):
        confirm(signed_in, "wrong password")
        signed_in.sign_in(User.objects.get().username, "wrong password")

    response = confirm(signed_in)

    assert_refused(response, 429, "throttled")
    assert int(response["Retry-After"]) > 0


def test_correct_passwords_do_not_count_towards_the_limit(signed_in, override_auth):
    override_auth(account_limit=Limit(2, 900))

    assert {confirm(signed_in).status_code for _ in range(5)} == {200}


def test_reauthentication_needs_an_access_token(api, assert_refused):
    assert_refused(api.post(URL, {"password": PASSWORD}), 401, "token_missing")


def test_reauthentication_in_the_last_second_of_a_session_issues_no_expired_token(
    clock, override_auth, monkeypatch, assert_refused
):
    override_auth(session_lifetime=60)
    signed_in = SignedIn(make_user().username)
    clock.advance(seconds=59, milliseconds=900)
    check_password = User.check_password

    def check_slowly(self, raw_password):
        clock.advance(milliseconds=50)
        return check_password(self, raw_password)

    monkeypatch.setattr(User, "check_password", check_slowly)

    assert_refused(confirm(signed_in), 401, "token_expired")


@pytest.mark.parametrize("event", ["sign-out", "password", "password here", "deactivation"])
def test_a_session_that_ends_during_reauthentication_is_not_stepped_up(
    signed_in, monkeypatch, assert_refused, event
):
    """The event happens after the password was verified and before the token is issued."""
    user = User.objects.get()
    check_password = User.check_password

    def check_then_end(self, raw_password):
        is_correct = check_password(self, raw_password)
        if event == "sign-out":
            signed_in.post("/api/auth/signout", {"refreshToken": signed_in.refresh_token})
        elif event == "password":
            passwords.set_password(user, "another good one", NO_CLIENT)
        elif event == "password here":
            User.objects.update(security_stamp=7)
            RefreshToken.objects.update(owner_stamp=7)
        else:
            call_command("deactivateuser", user.username)
        return is_correct

    monkeypatch.setattr(User, "check_password", check_then_end)

    assert_refused(confirm(signed_in), 401, "token_revoked")
