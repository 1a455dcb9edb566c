"""Factors that are added or removed between the check of a request and its effect."""

from typing import Any

import pytest

from accounts.factors import changes, listing, passkeys, verification
from accounts.models import Authenticator, Passkey, RefreshToken, User
from accounts.models.factors import AuthenticatorQuerySet
from accounts.sessions import lifecycle
from tests.conftest import Api, SignedIn
from tests.factories import make_user
from tests.factors.conftest import add_app, second_step
from tests.webauthn import SoftwareAuthenticator


@pytest.fixture
def after(monkeypatch: Any) -> Any:
    """Return a function that lets something happen once, right after a function has been called."""

    def arrange(module: Any, name: str, happen: Any) -> None:
        real = getattr(module, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result = real(*arguments, **options)
            monkeypatch.setattr(module, name, real)
            happen()
            return result

        monkeypatch.setattr(module, name, call)

    return arrange


def reset(client):
    return lambda: changes.reset(User.objects.get(pk=client.user.pk))


def test_factors_reset_after_the_code_was_verified_leave_no_session(with_app, after, assert_refused):
    after(verification, "verify", reset(with_app))
    response = second_step(Api(), with_app.user.username, code=with_app.app.code())
    assert_refused(response, 403, "auth_session_invalid")

    assert not lifecycle.live_sessions(User.objects.get(pk=with_app.user.pk)).exists()


def test_factors_reset_after_the_auth_session_was_used_leave_no_session(with_app, after, assert_refused):
    after(lifecycle, "require_second_factor", lambda: None)  # of the first step
    first = Api().sign_in(with_app.user.username).json()
    after(lifecycle, "require_second_factor", reset(with_app))
    body = {"authSession": first["authSession"], "code": with_app.app.code()}
    assert_refused(Api().post("/api/auth/signin/second-factor", body), 401, "invalid_credentials")
    assert not lifecycle.live_sessions(User.objects.get(pk=with_app.user.pk)).exists()


def test_a_passkey_removed_after_it_was_verified_opens_no_session(with_passkey, after, assert_refused):
    options = Api().post("/api/auth/signin/passkey/options").json()
    after(lifecycle, "require_second_factor", reset(with_passkey))
    credential = with_passkey.authenticator.get(options)
    response = Api().post("/api/auth/signin/passkey", {"credential": credential})
    assert_refused(response, 401, "invalid_credentials")


def test_a_factor_removed_after_it_was_verified_raises_no_level(with_app, after, assert_refused):
    def remove():
        response = with_app.delete(f"/api/auth/factors/{with_app.factor_id}", with_app.access_token)
        assert response.status_code == 204

    after(verification, "verify", remove)
    response = with_app.post("/api/auth/reauthenticate", {"code": with_app.app.code()}, with_app.access_token)
    assert_refused(response, 403, "invalid_code")
    assert {session.authentication.level for session in RefreshToken.objects.all()} == {1}


def test_a_first_factor_added_elsewhere_in_between_is_needed_to_add_another(clock, after, assert_refused):
    make_user("alice")
    owner, thief = SignedIn("alice"), SignedIn("alice")
    options = thief.post("/api/auth/factors/passkeys/options", {}, thief.access_token).json()
    after(passkeys, "register", lambda: add_app(owner))
    body = {"credential": SoftwareAuthenticator().create(options)}
    response = thief.post("/api/auth/factors/passkeys", body, thief.access_token)
    assert_refused(response, 403, "second_factor_required")
    assert not Passkey.objects.exists()
    assert thief.refresh(thief.refresh_token).status_code == 200
    assert {session.authentication.level for session in RefreshToken.objects.all()} == {1, 2}


def test_a_factor_removed_while_it_is_renamed_is_not_found(with_app, after, assert_refused):
    after(listing, "find", lambda: Authenticator.objects.all().delete())
    path = f"/api/auth/factors/{with_app.factor_id}"
    assert_refused(with_app.patch(path, {"name": "Phone"}, with_app.access_token), 404, "not_found")


def test_an_app_removed_while_its_secret_is_encrypted_again_is_refused(with_app, after, settings, assert_refused):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another key of enough length", [settings.SECRET_KEY]
    after(AuthenticatorQuerySet, "consume", lambda: Authenticator.objects.all().delete())
    response = with_app.post("/api/auth/reauthenticate", {"code": with_app.app.code()}, with_app.access_token)
    assert_refused(response, 403, "invalid_code")
