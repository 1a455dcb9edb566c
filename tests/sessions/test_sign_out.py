"""POST /api/auth/signout and signout-all."""

import pytest

from accounts.models import EndReason, RefreshToken
from accounts.tokens.refresh_tokens import RefreshSecret, encode
from tests.conftest import SignedIn
from tests.factories import make_user

URL = "/api/auth/signout"


def sign_out(api, token):
    return api.post(URL, {"refreshToken": token})


def test_a_spent_refresh_token_signs_out_too(signed_in, clock, assert_refused):
    current = signed_in.refresh(signed_in.refresh_token).json()["refreshToken"]
    clock.advance(minutes=1)

    assert sign_out(signed_in, signed_in.refresh_token).status_code == 204
    assert_refused(signed_in.refresh(current), 403, "refresh_token_revoked")
    assert RefreshToken.objects.get().end_reason == EndReason.SIGNED_OUT


def test_the_chain_of_an_ended_session_is_not_walked(signed_in, monkeypatch):
    sign_out(signed_in, signed_in.refresh_token)
    monkeypatch.setattr("accounts.tokens.refresh_tokens.descendant", None)

    assert sign_out(signed_in, signed_in.refresh_token).status_code == 204


def test_signing_out_twice_is_no_error(signed_in):
    assert sign_out(signed_in, signed_in.refresh_token).status_code == 204
    assert sign_out(signed_in, signed_in.refresh_token).status_code == 204


def test_an_expired_refresh_token_gets_204(signed_in, clock):
    clock.advance(days=2)

    assert sign_out(signed_in, signed_in.refresh_token).status_code == 204


def test_an_invented_refresh_token_gets_204_and_ends_nothing(signed_in):
    forged = encode(RefreshSecret(signed_in.claims.session_id, 0, b"x" * 32))

    for token in ("invented", _altered(signed_in.refresh_token), forged):
        assert sign_out(signed_in, token).status_code == 204
    assert signed_in.content().status_code == 200


def _altered(token):
    return token[:-1] + ("A" if token[-1] != "A" else "B")


def test_an_expired_access_token_does_not_prevent_a_sign_out_by_refresh_token(signed_in, clock):
    clock.advance(hours=1)

    response = signed_in.post(URL, {"refreshToken": signed_in.refresh_token}, token=signed_in.access_token)

    assert response.status_code == 204
    assert RefreshToken.objects.get().ended_at


def test_signing_out_with_only_an_expired_access_token_is_refused(signed_in, clock, assert_refused):
    clock.advance(hours=1)

    assert_refused(signed_in.post(URL, token=signed_in.access_token), 401, "token_expired")


def test_signing_out_without_any_token_is_refused(api, assert_refused):
    assert_refused(api.post(URL), 401, "token_missing")


def test_signing_out_without_a_body_or_content_type_works(signed_in):
    response = signed_in.http.generic("POST", URL, headers={"x-access-token": signed_in.access_token})

    assert response.status_code == 204


def test_signing_out_ends_one_session(signed_in):
    other = SignedIn(RefreshToken.objects.get().owner.username)
    sign_out(signed_in, signed_in.refresh_token)

    assert other.content().status_code == 200


def test_signing_out_everywhere_ends_all_sessions_of_the_user_and_no_others(assert_refused):
    user, other = make_user(), make_user()
    sessions = [SignedIn(user.username) for _ in range(3)]
    bystander = SignedIn(other.username)

    assert sessions[0].post("/api/auth/signout-all", token=sessions[0].access_token).status_code == 204

    for session in sessions:
        assert_refused(session.content(), 401, "token_revoked")
        assert_refused(session.refresh(session.refresh_token), 403, "refresh_token_revoked")
    assert bystander.content().status_code == 200


def test_signing_out_everywhere_needs_an_access_token(api, assert_refused):
    assert_refused(api.post("/api/auth/signout-all"), 401, "token_missing")


@pytest.mark.parametrize("token", [5, ["x"]])
def test_a_token_that_is_not_a_string_is_an_invalid_request(api, assert_refused, token):
    assert_refused(sign_out(api, token), 400, "invalid_request")
