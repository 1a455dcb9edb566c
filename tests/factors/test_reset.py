"""What operators do about a lost factor: `manage.py resetfactors`, and purging."""

from io import StringIO

from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import call_command
from django.test import Client

from accounts.models import Authenticator, PendingSignIn, RecoveryCode, UsedChallenge, User
from tests.conftest import Api, SignedIn
from tests.factors.conftest import add_app, add_passkey
from tests.webauthn import SoftwareAuthenticator


def test_resetfactors_removes_all_factors_and_ends_the_sessions(with_app, assert_refused):
    add_passkey(with_app, SoftwareAuthenticator())
    Api().sign_in(with_app.user.username)
    out = StringIO()
    call_command("resetfactors", with_app.user.username, stdout=out)

    assert f"Removed 2 second factors of {with_app.user.username}" in out.getvalue()
    assert_refused(with_app.content("user"), 401, "token_revoked")
    response = Api().sign_in(with_app.user.username)
    assert response.status_code == 200
    assert not RecoveryCode.objects.exists()
    assert not PendingSignIn.objects.exists()
    history = Api().get("/api/auth/activity", response.json()["accessToken"]).json()
    assert "factor:reset" in [entry["event"] for entry in history]


def test_resetting_the_factors_ends_the_sessions_of_the_admin(administrator):
    client = SignedIn(administrator.username)
    add_app(client)
    browser = Client()
    browser.force_login(User.objects.get(pk=administrator.pk))
    assert browser.get("/admin/").status_code == 200
    call_command("resetfactors", administrator.username, stdout=StringIO())
    assert browser.get("/admin/").status_code == 302
    assert Api().sign_in(administrator.username).status_code == 200


def test_a_session_of_the_admin_from_an_earlier_release_stays_valid_until_the_factors_are_reset(administrator):
    browser = Client()
    browser.force_login(administrator)
    session = browser.session
    session[HASH_SESSION_KEY] = AbstractBaseUser.get_session_auth_hash(administrator)
    session.save()
    assert browser.get("/admin/").status_code == 200
    call_command("resetfactors", administrator.username, stdout=StringIO())
    assert browser.get("/admin/").status_code == 302


def test_purging_deletes_what_has_expired_and_nothing_else(with_app, with_passkey, clock):
    with_passkey.post("/api/auth/factors/totp", {}, with_passkey.access_token)
    Api().sign_in(with_app.user.username)
    options = Api().post("/api/auth/signin/passkey/options").json()
    Api().post("/api/auth/signin/passkey", {"credential": with_passkey.authenticator.get(options)})
    call_command("purge_expired_tokens", stdout=StringIO())
    counts = (Authenticator.objects.count(), PendingSignIn.objects.count(), UsedChallenge.objects.count())
    assert counts == (2, 1, 2)

    clock.advance(days=1)
    call_command("purge_expired_tokens", stdout=StringIO())
    counts = (Authenticator.objects.count(), PendingSignIn.objects.count(), UsedChallenge.objects.count())
    assert counts == (1, 0, 0)
