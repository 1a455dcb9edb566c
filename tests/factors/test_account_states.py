"""Changes of an account against the tokens of a session with a second factor, at AUTH_REVOCATION_LAG 0 and above."""

import time

import pytest
from django.utils import timezone

from accounts.factors import changes
from accounts.models import EndReason
from accounts.sessions import lifecycle, validity
from accounts.tokens import access_tokens
from accounts.users import activation, passwords, roles
from accounts.values.clients import NO_CLIENT
from tests.conftest import Api, SignedIn
from tests.factories import make_user
from tests.factors.conftest import add_app, add_passkey, second_step
from tests.webauthn import SoftwareAuthenticator

LAG = 60
CURRENT = None
REVOKED = ("token_revoked", "refresh_token_revoked")
BOTH = ("moderator", "user")


class Account:
    """A moderator with an app and a passkey, and `access` and `refresh`, the tokens of a sign-in with a code."""

    def __init__(self, clock):
        self.user = make_user(roles=("user", "moderator"))
        self.owner = SignedIn(self.user.username)
        app = add_app(self.owner)
        self.app_id = self.owner.factor_id
        added = add_passkey(self.owner, SoftwareAuthenticator())
        self.passkey_id = added.json()["id"]
        clock.advance(seconds=30)
        tokens = second_step(Api(), self.user.username, code=app.code()).json()
        self.access, self.refresh = tokens["accessToken"], tokens["refreshToken"]

    @property
    def session_id(self):
        return claims_of(self.access).session_id

    def remove(self, factor_id):
        changes.remove(self.user, factor_id, self.owner.claims.session_id, NO_CLIENT)

    def remove_all(self):
        self.remove(self.app_id)
        self.user.refresh_from_db()
        self.remove(self.passkey_id)

    def add(self):
        assert add_passkey(self.owner, SoftwareAuthenticator()).status_code == 201


def claims_of(token):
    return access_tokens.verify(token, at=timezone.now())


CHANGES = {
    "nothing": (lambda account: None, (CURRENT, (2, BOTH))),
    "session revoked": (lambda a: lifecycle.end(a.session_id, EndReason.ENDED_BY_OWNER, NO_CLIENT), REVOKED),
    "all sessions revoked": (lambda a: lifecycle.end_all(a.user.pk, EndReason.REVOKED, NO_CLIENT), REVOKED),
    "deactivated": (lambda a: activation.deactivate(a.user, NO_CLIENT), REVOKED),
    "password changed": (lambda a: passwords.set_password(a.user, "another staple of horses", NO_CLIENT), REVOKED),
    "role granted": (
        lambda a: roles.grant(a.user, ["admin"], NO_CLIENT),
        ("token_stale", (2, ("admin", "moderator", "user"))),
    ),
    "role taken": (lambda a: roles.revoke(a.user, ["moderator"], NO_CLIENT), ("token_stale", (2, ("user",)))),
    "factor added": (Account.add, (CURRENT, (2, BOTH))),
    "one factor of two removed": (lambda a: a.remove(a.app_id), (CURRENT, (2, BOTH))),
    "last factor removed": (Account.remove_all, ("token_stale", (1, ("user",)))),
    "factors reset": (lambda a: changes.reset(a.user), REVOKED),
}


@pytest.fixture
def account(clock, override_auth, fast_password_hasher):
    override_auth(second_factor_roles=("moderator",))
    return Account(clock)


@pytest.fixture
def lag(override_auth, monkeypatch):
    """Set AUTH_REVOCATION_LAG to 60 seconds of the fake clock."""
    monkeypatch.setattr(validity, "monotonic", time.time)
    validity._validity_cache.cache_clear()
    yield lambda: override_auth(revocation_lag=LAG)
    validity._validity_cache.cache_clear()


def content(account):
    return Api().get("/api/test/mod", account.access)


def assert_outcome(account, outcome):
    access, refresh = outcome
    response = content(account)
    assert (response.status_code, response.json()["code"]) == (401, access) if access else response.content
    refreshed = Api().refresh(account.refresh)
    if isinstance(refresh, str):
        assert (refreshed.status_code, refreshed.json()["code"]) == (403, refresh)
    else:
        claims = claims_of(refreshed.json()["accessToken"])
        assert (claims.level, tuple(sorted(claims.roles))) == refresh


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("seconds", [0, LAG])
def test_a_change_takes_effect_at_once_in_the_process_that_makes_it(account, lag, name, seconds):
    if seconds:
        lag()
    assert content(account).status_code == 200
    change, outcome = CHANGES[name]
    change(account)
    assert_outcome(account, outcome)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_by_another_process_takes_effect_after_the_lag(account, lag, name, clock, monkeypatch):
    lag()
    change, outcome = CHANGES[name]
    monkeypatch.setattr(validity, "forget", lambda user_id: None)
    assert content(account).status_code == 200
    change(account)
    clock.advance(seconds=LAG - 1)
    assert content(account).status_code == 200
    clock.advance(seconds=1)
    assert_outcome(account, outcome)


@pytest.mark.parametrize("name", CHANGES)
def test_a_refresh_never_waits_for_the_lag(account, lag, name, monkeypatch):
    lag()
    change, (_, refresh) = CHANGES[name]
    monkeypatch.setattr(validity, "forget", lambda user_id: None)
    assert content(account).status_code == 200
    change(account)
    refreshed = Api().refresh(account.refresh).json()
    if isinstance(refresh, str):
        assert refreshed["code"] == refresh
    else:
        assert claims_of(refreshed["accessToken"]).level == refresh[0]
