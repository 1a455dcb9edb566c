"""What a thief gets and does not get, theft by theft; docs/security.md tells of each. Some of it is bad news."""

import base64
import time
from itertools import chain

import jwt
import pytest
from django.apps import apps
from django.test import Client

from accounts.keys.key_ring import key_ring
from accounts.models import EndReason, RefreshToken, Service
from accounts.sessions import lifecycle, services
from accounts.values.clients import NO_CLIENT
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_administrator, make_user


def test_nothing_in_the_whole_database_lets_anyone_in(signed_in, mailed_token):
    """Leaked database: every value of every row is held against everything that somebody could get in with."""
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
        mailed_token().encode(),
    ):
        assert not [value for value in stored if secret in value or secret.hex().encode() in value]


def forged(claims, **changes):
    """Sign what a thief of the signing key likes."""
    key = key_ring().signing
    now = int(time.time())
    content = {**claims, "iat": now, "nbf": now, "exp": now + 900, **changes}
    return jwt.encode(content, key.private_key, key.algorithm, headers={"typ": "at+jwt", "kid": key.kid})


def claims_in(token):
    return jwt.decode(token, options={"verify_signature": False})


def test_a_stolen_signing_key_gives_any_role_to_a_session_that_is_in_force(signed_in):
    """Bad news: drop the key. Roles are read in the token."""
    claims = claims_in(signed_in.access_token)

    assert signed_in.get("/api/test/admin", forged(claims, roles=["admin"])).status_code == 200


def test_it_revives_no_session_and_takes_over_no_other_user_s(signed_in, assert_refused):
    other = SignedIn(make_user().username)
    claims = claims_in(signed_in.access_token)
    victim = claims_in(other.access_token)

    assert_refused(Api().get("/api/test/user", forged(claims, sub=victim["sub"])), 401, "token_revoked")
    other.post("/api/auth/signout", token=other.access_token)
    assert_refused(Api().get("/api/test/user", forged(victim)), 401, "token_revoked")
    assert_refused(Api().get("/api/test/user", forged(claims, ver=claims["ver"] + 1)), 401, "token_stale")


def test_who_refreshes_within_the_grace_of_each_refresh_goes_on_unrecognised(signed_in, clock, events):
    """Bad news: a thief who knows when the client refreshes. The log tells of each as a repeated refresh."""
    victim = thief = signed_in.refresh_token
    for _ in range(3):
        clock.advance(minutes=15)
        victim, presented = signed_in.refresh(victim).json()["refreshToken"], victim
        clock.advance(seconds=9)
        assert presented == thief
        thief = Api().refresh(thief).json()["refreshToken"]

    assert thief == victim
    assert [line["event"] for line in events()].count("session:refresh_repeated") == 3


def test_without_grace_nobody_does(signed_in, clock, auth, assert_refused):
    auth(refresh_token_grace=0)
    thief = signed_in.refresh_token
    signed_in.refresh(signed_in.refresh_token)

    assert_refused(Api().refresh(thief), 403, "refresh_token_reused")


@pytest.fixture
def restored(signed_in, clock):
    """A backup is made, life goes on, and the backup is restored; the token is one that was spent meanwhile."""
    backup = RefreshToken.objects.values().get()
    spent = signed_in.refresh_token
    signed_in.refresh(spent)
    signed_in.post("/api/auth/signout", {"refreshToken": spent})
    RefreshToken.objects.all().delete()
    RefreshToken.objects.create(**backup)
    return spent


def test_a_restored_backup_brings_back_sessions_and_spent_tokens(restored):
    """Bad news: end all sessions after a backup was restored."""
    assert Api().refresh(restored).status_code == 200


def test_unless_every_session_is_ended_with_it(restored, assert_refused):
    lifecycle.end_many(RefreshToken.objects.all(), EndReason.REVOKED, NO_CLIENT)

    assert_refused(Api().refresh(restored), 403, "refresh_token_revoked")


def test_who_stole_an_access_token_gets_no_other_and_changes_nothing_that_matters(
    signed_in, clock, assert_refused
):
    """Five minutes after the sign-in, that is; until then the theft has the standing of the sign-in."""
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
