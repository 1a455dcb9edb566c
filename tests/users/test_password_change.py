"""POST /api/auth/password/change: change a known password."""

import pytest

from accounts.models import EndReason, RefreshToken, User
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user

URL = "/api/auth/password/change"
NEW_PASSWORD = "another good one"


def change(signed_in, current=PASSWORD, new=NEW_PASSWORD):
    return signed_in.post(URL, {"currentPassword": current, "newPassword": new}, signed_in.access_token)


def test_only_the_new_password_signs_in(signed_in, assert_refused):
    username = User.objects.get().username

    assert change(signed_in).status_code == 204

    assert signed_in.sign_in(username, NEW_PASSWORD).status_code == 200
    assert_refused(signed_in.sign_in(username), 401, "invalid_credentials")


def test_a_password_change_revokes_every_session_but_the_current_one(clock, assert_refused):
    make_user("alice")
    current, other = SignedIn("alice"), SignedIn("alice")

    change(current)

    assert_refused(other.content(), 401, "token_revoked")
    assert_refused(other.refresh(other.refresh_token), 403, "refresh_token_revoked")
    assert RefreshToken.objects.get(pk=other.claims.session_id).end_reason == EndReason.PASSWORD_CHANGED
    assert_refused(current.content(), 401, "token_stale")
    current.access_token = current.refresh(current.refresh_token).json()["accessToken"]
    assert current.content().status_code == 200


def test_a_password_change_notifies_the_owner_by_email(signed_in, mailoutbox):
    change(signed_in)

    [mail] = mailoutbox
    assert (mail.to, mail.subject) == ([User.objects.get().email], "Your password was changed")
    assert NEW_PASSWORD not in str(mail.message())


def test_a_wrong_current_password_changes_nothing(signed_in, assert_refused, mailoutbox):
    before = User.objects.values().get()

    for current in ("wrong password", "", "x" * 5000):
        assert_refused(change(signed_in, current=current), 403, "invalid_password")

    assert User.objects.values().get() == before
    assert signed_in.content().status_code == 200
    assert mailoutbox == []


def test_attempts_at_the_current_password_are_limited(signed_in, assert_refused):
    for _ in range(10):
        change(signed_in, current="wrong password")

    assert_refused(change(signed_in), 429, "throttled")


@pytest.mark.parametrize("new", ["short", "", "password1", "x" * 129, "12345678"])
def test_a_weak_password_is_rejected_and_the_error_names_the_field(signed_in, assert_refused, new):
    before = User.objects.values().get()
    response = change(signed_in, new=new)

    assert_refused(response, 400, "invalid_request")
    assert list(response.json()["errors"]) == ["newPassword"]
    assert User.objects.values().get() == before


def test_a_password_that_equals_the_username_is_rejected(clock, assert_refused):
    make_user("alice-liddell")

    assert_refused(change(SignedIn("alice-liddell"), new="alice-liddell"), 400, "invalid_request")


@pytest.mark.parametrize("missing", ["currentPassword", "newPassword"])
def test_both_passwords_are_required(signed_in, assert_refused, missing):
    body = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    del body[missing]
    response = signed_in.post(URL, body, signed_in.access_token)

    assert_refused(response, 400, "invalid_request")
    assert list(response.json()["errors"]) == [missing]


def test_a_password_is_neither_trimmed_nor_truncated(signed_in):
    username = User.objects.get().username
    change(signed_in, new="  spaces around  ")

    assert signed_in.sign_in(username, "  spaces around  ").status_code == 200
    assert signed_in.sign_in(username, "spaces around").status_code == 401


def test_a_password_change_needs_an_access_token(api, assert_refused):
    assert_refused(api.post(URL, {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}), 401, "token_missing")
