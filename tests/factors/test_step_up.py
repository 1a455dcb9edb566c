"""Changes of factors, and which step-up they need: a stolen session and password are not enough."""

import pytest

from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD
from tests.factors.conftest import add_app, add_passkey, second_step
from tests.webauthn import SoftwareAuthenticator

FACTORS = "/api/auth/factors"
REAUTHENTICATE = "/api/auth/reauthenticate"


def sensitive_requests(client):
    token = client.access_token
    yield client.post(f"{FACTORS}/totp", {"name": "x"}, token)
    yield client.post(f"{FACTORS}/passkeys/options", {}, token)
    yield client.post(f"{FACTORS}/passkeys", {"credential": {}}, token)
    yield client.post(f"{FACTORS}/recovery-codes", {}, token)
    yield client.patch(f"{FACTORS}/{client.factor_id}", {"name": "x"}, token)
    yield client.delete(f"{FACTORS}/{client.factor_id}", token)


def test_adding_a_first_factor_needs_a_recent_authentication(signed_in, clock, assert_refused):
    clock.advance(seconds=301)
    response = signed_in.post(f"{FACTORS}/totp", {}, signed_in.access_token)
    assert_refused(response, 403, "recent_authentication_required")


def test_a_password_is_not_enough_once_there_is_a_factor(with_app, clock, assert_refused):
    clock.advance(seconds=301)
    with_app.access_token = with_app.post(REAUTHENTICATE, {"password": PASSWORD}, with_app.access_token).json()[
        "accessToken"
    ]
    for response in sensitive_requests(with_app):
        assert_refused(response, 403, "second_factor_required")
        assert 'acr_values="2"' in response["WWW-Authenticate"]
        assert "authSession" not in response.json()


@pytest.mark.parametrize("kind", ["code", "recoveryCode"])
def test_a_factor_presented_again_is_enough(with_app, clock, kind):
    clock.advance(seconds=301)
    presented = {"code": with_app.app.code(), "recoveryCode": with_app.recovery_codes[0]}[kind]
    response = with_app.post(REAUTHENTICATE, {kind: presented}, with_app.access_token)
    assert response.status_code == 200
    with_app.access_token = response.json()["accessToken"]
    assert (
        with_app.patch(f"{FACTORS}/{with_app.factor_id}", {"name": "Old phone"}, with_app.access_token).status_code
        == 200
    )
    assert with_app.delete(f"{FACTORS}/{with_app.factor_id}", with_app.access_token).status_code == 204


def test_a_passkey_presented_again_is_enough(with_passkey, clock):
    clock.advance(seconds=301)
    options = with_passkey.post(f"{REAUTHENTICATE}/passkey/options", {}, with_passkey.access_token).json()
    response = with_passkey.post(
        REAUTHENTICATE, {"passkey": with_passkey.authenticator.get(options)}, with_passkey.access_token
    )
    assert response.status_code == 200
    assert add_passkey(with_passkey, SoftwareAuthenticator()).status_code == 201


def test_a_wrong_factor_in_a_step_up_is_refused_and_counted(with_app, assert_refused):
    response = with_app.post(REAUTHENTICATE, {"code": "000000"}, with_app.access_token)
    assert_refused(response, 403, "invalid_code")
    assert with_app.activity()[0]["event"] == "factor:failed"


def test_a_code_raises_a_session_that_began_with_a_password(signed_in, clock):
    name = signed_in.get("/api/auth/me", signed_in.access_token).json()["username"]
    other = SignedIn(name)
    app = add_app(signed_in)
    clock.advance(seconds=30)
    assert other.claims.level == 1
    other.access_token = other.post(REAUTHENTICATE, {"code": app.code()}, other.access_token).json()["accessToken"]
    assert (other.claims.level, other.claims.methods) == (2, ("pwd", "otp", "mfa"))


def test_removing_the_last_factor_removes_the_recovery_codes_and_lowers_the_level(with_app, assert_refused):
    signed_in = second_step(Api(), with_app.user.username, code=with_app.app.code()).json()
    assert with_app.delete(f"{FACTORS}/{with_app.factor_id}", with_app.access_token).status_code == 204

    assert_refused(Api().get("/api/test/user", signed_in["accessToken"]), 401, "token_stale")
    refreshed = Api().refresh(signed_in["refreshToken"]).json()
    listed = Api().get(FACTORS, refreshed["accessToken"]).json()
    assert listed == {"factors": [], "recoveryCodesLeft": 0}
    assert Api().sign_in(with_app.user.username).status_code == 200


def test_the_factors_of_another_user_are_not_found(with_app, signed_in, assert_refused):
    path = f"{FACTORS}/{with_app.factor_id}"
    assert_refused(signed_in.patch(path, {"name": "x"}, signed_in.access_token), 404, "not_found")
    assert_refused(signed_in.delete(path, signed_in.access_token), 404, "not_found")
    confirmation = {"id": with_app.factor_id, "code": with_app.app.code()}
    response = signed_in.post(f"{FACTORS}/totp/confirm", confirmation, signed_in.access_token)
    assert_refused(response, 404, "not_found")


def test_at_most_ten_factors_of_a_kind(with_app, assert_refused):
    for number in range(9):
        add_app(with_app, f"App {number}")
    assert_refused(with_app.post(f"{FACTORS}/totp", {}, with_app.access_token), 400, "invalid_request")


def test_a_password_reset_by_mail_does_not_sign_in_past_the_factor(with_app, mailed_token, assert_refused):
    Api().post("/api/auth/password/reset", {"email": with_app.user.email})
    body = {"token": mailed_token(), "newPassword": "an entirely new passphrase"}
    assert Api().post("/api/auth/password/reset/confirm", body).status_code == 204
    response = Api().sign_in(with_app.user.username, "an entirely new passphrase")
    assert_refused(response, 403, "second_factor_required")
