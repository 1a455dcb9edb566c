"""Authenticator apps: enrolling, signing in, and what is refused."""

import pytest

from accounts.models import Authenticator, PendingSignIn, RefreshToken
from tests.conftest import Api
from tests.factors.conftest import second_step


def test_a_password_alone_opens_no_session_once_an_app_is_added(with_app):
    sessions = RefreshToken.objects.count()
    response = Api().sign_in(with_app.user.username)
    body = response.json()
    assert (response.status_code, body["code"]) == (403, "second_factor_required")
    assert body["factors"] == ["totp", "recovery_code"]
    assert body["expiresIn"] == 300
    assert "passkey" not in body
    assert not response.cookies
    assert "accessToken" not in body
    assert RefreshToken.objects.count() == sessions


def test_the_code_completes_the_sign_in_as_two_factors(with_app):
    response = second_step(Api(), with_app.user.username, code=with_app.app.code())
    assert response.status_code == 200
    body = response.json()
    assert set(body) >= {"id", "username", "roles", "accessToken", "refreshToken", "expiresIn"}
    claims = totp_claims(body)
    assert (claims.level, claims.methods) == (2, ("pwd", "otp", "mfa"))
    assert not PendingSignIn.objects.exists()


def totp_claims(body):
    from django.utils import timezone

    from accounts.tokens import access_tokens

    return access_tokens.verify(body["accessToken"], at=timezone.now())


def test_a_code_works_once(with_app, assert_refused):
    code = with_app.app.code()
    assert second_step(Api(), with_app.user.username, code=code).status_code == 200
    assert_refused(second_step(Api(), with_app.user.username, code=code), 403, "invalid_code")


@pytest.mark.parametrize(("steps", "status"), [(-1, 200), (0, 200), (1, 200), (-2, 403), (2, 403)])
def test_a_clock_may_be_off_by_one_step(with_app, clock, steps, status):
    clock.advance(minutes=5)
    code = with_app.app.code(steps=steps)
    assert second_step(Api(), with_app.user.username, code=code).status_code == status


def test_the_secret_is_stored_encrypted(with_app):
    from base64 import b32decode

    row = Authenticator.objects.get()
    assert b32decode("A" * 32) not in bytes(row.encrypted_secret)
    assert len(bytes(row.encrypted_secret)) == 12 + 20 + 16
