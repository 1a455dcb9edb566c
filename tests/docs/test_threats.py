"""What an attacker can and cannot do with each stolen secret, as docs/security.md states.

Some tests document what is not protected.
"""

import base64
import time
from itertools import chain

import jwt
import pytest
from django.apps import apps
from django.test import Client

from accounts.factors import encryption
from accounts.keys.key_ring import key_ring
from accounts.models import Authenticator, EndReason, RefreshToken, Service
from accounts.sessions import lifecycle, services
from accounts.values.clients import NO_CLIENT
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_administrator, make_user
from tests.factors.conftest import App, add_app, second_step


def test_no_value_in_the_database_is_a_credential(signed_in, mailed_token):
    """Leaked database: compare every value of every row with every secret that authenticates someone."""
    make_administrator()
    browser = Client()
    browser.post("/admin/login/", {"username": "root", "password": PASSWORD})
    service = Service(client_id="orders", audience="orders")
    service_secret = services.new_secret(service)
    service.save()
    signed_in.post(
        "/api/auth/password/reset",
        {"email": signed_in.get("/api/auth/me", signed_in.access_token).json()["email"]},
    )
    refresh_secret = base64.urlsafe_b64decode(signed_in.refresh_token.removeprefix("authrt_"))[20:52]
    mailed = mailed_token()
    add_app(signed_in)
    rows = chain.from_iterable(model._default_manager.values_list() for model in apps.get_models())
    stored = [
        bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
        for row in rows
        for value in row
    ]
    assert len(stored) > 100

    for secret in (
        PASSWORD.encode(),
        refresh_secret,
        signed_in.refresh_token[20:].encode(),
        signed_in.access_token.encode(),
        service_secret.encode(),
        browser.cookies["sessionid"].value.encode(),
        mailed.encode(),
        decrypted_secret(Authenticator.objects.get()),
        base64.b32encode(decrypted_secret(Authenticator.objects.get())),
        *(code.encode() for code in signed_in.recovery_codes),
        *(code.replace("-", "").encode() for code in signed_in.recovery_codes),
    ):
        assert not [value for value in stored if secret in value or secret.hex().encode() in value]


def forge(claims, **changes):
    """Sign claims with the service's signing key, as a thief of that key can."""
    key = key_ring().signing
    now = int(time.time())
    payload = {**claims, "iat": now, "nbf": now, "exp": now + 900, **changes}
    return jwt.encode(payload, key.private_key, key.algorithm, headers={"typ": "at+jwt", "kid": key.kid})


def claims_in(token):
    return jwt.decode(token, options={"verify_signature": False})


def test_a_stolen_signing_key_adds_any_role_to_a_valid_session(signed_in):
    """Not protected: roles are read from the token. The remedy is to drop the key."""
    claims = claims_in(signed_in.access_token)

    assert signed_in.get("/api/test/admin", forge(claims, roles=["admin"])).status_code == 200


def test_a_stolen_signing_key_neither_reopens_a_session_nor_takes_over_another_user_s(signed_in, assert_refused):
    other = SignedIn(make_user().username)
    claims = claims_in(signed_in.access_token)
    victim = claims_in(other.access_token)

    assert_refused(Api().get("/api/test/user", forge(claims, sub=victim["sub"])), 401, "token_revoked")
    other.post("/api/auth/signout", token=other.access_token)
    assert_refused(Api().get("/api/test/user", forge(victim)), 401, "token_revoked")
    assert_refused(Api().get("/api/test/user", forge(claims, ver=claims["ver"] + 1)), 401, "token_stale")


def test_a_thief_who_refreshes_within_the_grace_of_each_refresh_is_not_recognized(signed_in, clock, events):
    """Not protected: a thief who knows when the client refreshes. Each case is logged as a repeated refresh."""
    victim = thief = signed_in.refresh_token
    for _ in range(3):
        clock.advance(minutes=15)
        victim, presented = signed_in.refresh(victim).json()["refreshToken"], victim
        clock.advance(seconds=9)
        assert presented == thief
        thief = Api().refresh(thief).json()["refreshToken"]

    assert thief == victim
    assert [line["event"] for line in events()].count("session:refresh_repeated") == 3


def test_without_grace_a_thief_who_refreshes_right_after_the_client_is_recognized(
    signed_in, clock, override_auth, assert_refused
):
    override_auth(refresh_token_grace=0)
    thief = signed_in.refresh_token
    signed_in.refresh(signed_in.refresh_token)

    assert_refused(Api().refresh(thief), 403, "refresh_token_reused")


@pytest.fixture
def restored(signed_in, clock):
    """Restore a backup of a session that has ended since; return a refresh token that was used after the backup."""
    backup = RefreshToken.objects.values().get()
    spent = signed_in.refresh_token
    signed_in.refresh(spent)
    signed_in.post("/api/auth/signout", {"refreshToken": spent})
    RefreshToken.objects.all().delete()
    RefreshToken.objects.create(**backup)
    return spent


def test_a_restored_backup_makes_ended_sessions_and_used_tokens_valid_again(restored):
    """Not protected: the operator has to end all sessions after restoring a backup."""
    assert Api().refresh(restored).status_code == 200


def test_ending_every_session_after_a_restore_refuses_the_old_tokens(restored, assert_refused):
    lifecycle.end_many(RefreshToken.objects.all(), EndReason.REVOKED, NO_CLIENT)

    assert_refused(Api().refresh(restored), 403, "refresh_token_revoked")


def test_a_thief_of_an_access_token_gets_no_other_token_and_changes_nothing_sensitive(
    signed_in, clock, assert_refused
):
    """Later than five minutes after the sign-in: until then the token counts as a recent authentication."""
    clock.advance(seconds=301)
    token, thief = signed_in.access_token, Api()

    assert_refused(
        thief.patch("/api/auth/me", {"email": "thief@example.com"}, token), 403, "recent_authentication_required"
    )
    assert_refused(thief.delete("/api/auth/me", token), 403, "recent_authentication_required")
    change = {"currentPassword": "a guess of the thief", "newPassword": "another good one"}
    assert_refused(thief.post("/api/auth/password/change", change, token), 403, "invalid_password")
    assert_refused(thief.refresh(token), 403, "refresh_token_unknown")
    clock.advance(seconds=600)
    assert_refused(thief.get("/api/test/user", token), 401, "token_expired")


def decrypted_secret(row):
    """Return the secret of an authenticator app, as an attacker with the database and SECRET_KEY can."""
    return encryption.decrypt(bytes(row.encrypted_secret), f"totp {row.owner_id} {row.pk}").secret


def test_an_attacker_with_the_database_and_secret_key_computes_the_codes_of_an_app(signed_in, clock):
    add_app(signed_in)
    clock.advance(seconds=30)
    row = Authenticator.objects.get()
    copy = App(base64.b32encode(decrypted_secret(row)).decode())

    assert second_step(Api(), row.owner.username, code=copy.code()).status_code == 200


def test_a_code_that_a_phishing_page_relays_signs_the_attacker_in(signed_in, clock):
    app = add_app(signed_in)
    clock.advance(seconds=30)
    owner = Authenticator.objects.get().owner

    assert second_step(Api(), owner.username, code=app.code()).status_code == 200


def test_without_a_factor_a_thief_of_the_password_can_add_one(clock, assert_refused):
    owner = make_user()
    add_app(SignedIn(owner.username))

    assert_refused(Api().sign_in(owner.username), 403, "second_factor_required")


def test_a_thief_of_session_and_password_changes_the_email_address_but_no_factor(signed_in, clock, assert_refused):
    add_app(signed_in)
    clock.advance(seconds=301)
    again = signed_in.post("/api/auth/reauthenticate", {"password": PASSWORD}, signed_in.access_token)
    token = again.json()["accessToken"]

    assert_refused(signed_in.post("/api/auth/factors/totp", {}, token), 403, "second_factor_required")
    assert_refused(signed_in.post("/api/auth/factors/recovery-codes", {}, token), 403, "second_factor_required")
    assert signed_in.patch("/api/auth/me", {"email": "thief@example.com"}, token).status_code == 200
