"""Test AUTH_CLAIMS: the claims that a project adds to access tokens, and faults of its function."""

import json
from decimal import Decimal

import jwt
import pytest
from django.core.checks import run_checks
from django.db import OperationalError, connection
from django.http import Http404
from django.test.utils import CaptureQueriesContext

from accounts.errors import RoleRequired
from accounts.models import RefreshToken
from accounts.sessions import project_claims
from tests.api.test_cookies import Browser
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_user

PATH = f"{__name__}.for_user"
NOT_A_FUNCTION = "x"
calls = []
result = {}


def for_user(user, session):
    calls.append((user, session))
    outcome = result["of"]
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


@pytest.fixture
def returning(override_auth):
    """Return a function that sets what the project's function returns or raises."""
    override_auth(claims=PATH, extra_claims=("tenant", "plan", "https://example.com/beta"))
    calls.clear()

    def set_result(outcome):
        result["of"] = outcome

    set_result({})
    return set_result


@pytest.fixture
def alice(clock):
    return make_user("alice", fullname="Alice A.")


def claims_in(token):
    return jwt.decode(token, options={"verify_signature": False})


def loud_api():
    api = Api()
    api.http.raise_request_exception = False
    return api


def test_claims_are_added_at_sign_in_refresh_and_step_up(alice, returning):
    returning({"tenant": "acme", "plan": {"name": "pro", "seats": 5}, "https://example.com/beta": None})
    signed_in = SignedIn("alice")
    refreshed = signed_in.refresh(signed_in.refresh_token).json()
    repeated = signed_in.refresh(signed_in.refresh_token).json()
    stepped_up = signed_in.post(
        "/api/auth/reauthenticate", {"password": PASSWORD}, refreshed["accessToken"]
    ).json()

    for token in (signed_in.access_token, *(pair["accessToken"] for pair in (refreshed, repeated, stepped_up))):
        claims = claims_in(token)
        assert (claims["tenant"], claims["plan"]) == ("acme", {"name": "pro", "seats": 5})
        assert claims["https://example.com/beta"] is None
        assert signed_in.get("/api/test/user", token).status_code == 200


def test_the_function_gets_the_user_and_the_session(alice, returning):
    signed_in = SignedIn("alice")
    signed_in.refresh(signed_in.refresh_token)
    signed_in.post("/api/auth/reauthenticate", {"password": PASSWORD}, signed_in.access_token)

    assert len(calls) == 3
    for user, session in calls:
        assert (user, user.fullname) == (alice, "Alice A.")
        assert isinstance(session, RefreshToken)
        assert (session.pk, session.owner) == (signed_in.claims.session_id, alice)


def test_a_refresh_brings_the_current_claims(alice, returning):
    returning({"plan": "free"})
    signed_in = SignedIn("alice")
    returning({"plan": "pro"})

    assert claims_in(signed_in.refresh(signed_in.refresh_token).json()["accessToken"])["plan"] == "pro"


def test_only_names_of_the_setting_are_taken(alice, returning):
    returning({"plan": "pro", "salary": 1, "sub": "999", "roles": ["admin"], "ver": 7, "aud": "other", 5: 6})
    claims = claims_in(SignedIn("alice").access_token)

    assert (claims["plan"], claims["sub"], claims["roles"], claims["ver"]) == ("pro", str(alice.pk), ["user"], 0)
    assert not {"salary", 5, "5"} & set(claims)
    assert claims["aud"] == "authproject"


FAULTS = {
    "no dict": ["tenant"],
    "nothing": None,
    "a value that is not JSON": {"tenant": object()},
    "a set": {"tenant": {1}},
    "bytes": {"tenant": b"x"},
    "a Decimal": {"tenant": Decimal(1)},
    "not a number": {"tenant": float("nan")},
    "infinity": {"tenant": {"a": [float("inf")]}},
    "a name twice": {"tenant": {1: "a", "1": "b"}},
    "too large": {"tenant": "x" * (project_claims.MAX_SIZE - len('{"tenant":""}') + 1)},
    "too large together": {"tenant": "x" * 600, "plan": "y" * 600},
    "too large in bytes": {"tenant": "\U0001f600" * 100},
    "an exception": ValueError("secret of the project"),
    "an error of this API": RoleRequired("admin"),
    "not found": Http404(),
}


@pytest.mark.parametrize("outcome", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_function_is_a_logged_internal_error_and_opens_no_session(
    alice, returning, caplog, outcome
):
    returning(outcome)
    response = loud_api().sign_in("alice")

    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "secret" not in response.content.decode()
    assert not RefreshToken.objects.exists()
    assert any(
        "ProjectClaimsFault" in str(record.exc_info) for record in caplog.records if record.levelname == "ERROR"
    )


@pytest.mark.parametrize("outcome", [{"tenant": "x" * (project_claims.MAX_SIZE - len('{"tenant":""}'))}, {}])
def test_claims_up_to_the_limit_are_accepted(alice, returning, outcome):
    returning(outcome)
    signed_in = SignedIn("alice")

    assert signed_in.content().status_code == 200
    assert outcome.items() <= claims_in(signed_in.access_token).items()


def test_a_fault_at_a_refresh_costs_no_rotation(alice, returning, clock):
    signed_in = SignedIn("alice")
    signed_in.http.raise_request_exception = False
    returning(ValueError())
    assert signed_in.refresh(signed_in.refresh_token).status_code == 500

    clock.advance(minutes=5)  # long after the grace period
    returning({"plan": "pro"})
    response = signed_in.refresh(signed_in.refresh_token)

    assert response.status_code == 200
    assert RefreshToken.objects.get().generation == 1


def test_a_fault_at_a_refresh_by_cookie_keeps_the_cookies(alice, returning):
    browser = Browser()
    browser.http.raise_request_exception = False
    browser.sign_in_with_cookies()
    returning(ValueError())
    assert browser.send("POST", "/api/auth/refreshtoken").status_code == 500

    returning({})
    assert browser.send("POST", "/api/auth/refreshtoken").status_code == 200


def test_a_fault_at_a_sign_in_by_cookie_keeps_the_previous_session_of_the_browser(alice, returning):
    browser = Browser()
    browser.http.raise_request_exception = False
    browser.sign_in_with_cookies()
    returning(ValueError())
    assert browser.sign_in_with_cookies().status_code == 500

    returning({})
    assert RefreshToken.objects.get().ended_at is None
    assert browser.send("POST", "/api/auth/refreshtoken").status_code == 200


def test_a_fault_at_a_step_up_does_not_change_the_session(alice, returning, clock, events):
    signed_in = SignedIn("alice")
    signed_in.http.raise_request_exception = False
    session = RefreshToken.objects.get()
    clock.advance(minutes=1)
    returning(ValueError())

    response = signed_in.post("/api/auth/reauthenticate", {"password": PASSWORD}, signed_in.access_token)

    assert response.status_code == 500
    assert RefreshToken.objects.get().authenticated_at == session.authenticated_at
    assert "user:reauthenticated" not in [line["event"] for line in events()]


def test_a_signing_fault_opens_and_ends_no_session(alice, monkeypatch):
    browser = Browser()
    browser.http.raise_request_exception = False
    browser.sign_in_with_cookies()

    def fail(*_, **__):
        raise OSError

    monkeypatch.setattr("accounts.tokens.access_tokens.sign", fail)

    assert browser.sign_in_with_cookies().status_code == 500
    assert RefreshToken.objects.get().ended_at is None


def test_a_fault_does_not_hide_the_reuse_of_a_refresh_token(alice, returning, clock, assert_refused):
    signed_in = SignedIn("alice")
    signed_in.refresh(signed_in.refresh_token)
    clock.advance(minutes=5)
    returning(ValueError())

    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_reused")


@pytest.mark.parametrize("rotation", [True, False])
def test_the_function_is_not_called_for_a_refused_refresh_token(
    alice, returning, clock, assert_refused, override_auth, rotation
):
    override_auth(claims=PATH, extra_claims=("plan",), refresh_token_rotation=rotation)
    signed_in, other = SignedIn("alice"), SignedIn("alice")
    signed_in.post("/api/auth/signout", {"refreshToken": signed_in.refresh_token})
    calls.clear()

    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_revoked")
    assert_refused(signed_in.refresh("authrt_" + "A" * 80), 403, "refresh_token_unknown")
    clock.advance(days=2)
    assert_refused(signed_in.refresh(other.refresh_token), 403, "refresh_token_expired")
    assert calls == []


def test_an_unreachable_database_in_the_function_is_unavailable(alice, returning, assert_refused):
    returning(OperationalError("secret host"))

    assert_refused(loud_api().sign_in("alice"), 503, "unavailable")


def test_a_refresh_reads_the_session_only_if_there_is_a_function(alice, returning, override_auth):
    signed_in = SignedIn("alice")

    def statements(token):
        with CaptureQueriesContext(connection) as queries:
            response = signed_in.refresh(token)
        return [query["sql"].split()[0] for query in queries], response.json()["refreshToken"]

    with_function, token = statements(signed_in.refresh_token)
    override_auth(claims="", extra_claims=())
    without_function, _ = statements(token)

    assert (with_function, without_function) == (["SELECT", "UPDATE"], ["UPDATE"])


@pytest.mark.parametrize(
    "path",
    ["no.such.module", f"{__name__}.missing", f"{__name__}.NOT_A_FUNCTION"],
    ids=["module", "name", "value"],
)
def test_a_path_that_leads_to_no_function_is_reported_by_a_check(override_auth, path):
    override_auth(claims=path, extra_claims=("plan",))

    [found] = [message for message in run_checks() if message.id == "accounts.E004"]
    assert path in found.msg


def test_a_function_passes_the_check(returning):
    assert "accounts.E004" not in {message.id for message in run_checks()}


def test_added_claims_at_their_limit_fit_in_a_cookie(alice, returning):
    returning({"tenant": "x" * (project_claims.MAX_SIZE - len('{"tenant":""}'))})
    browser = Browser()
    browser.sign_in_with_cookies()

    assert len("__Host-access=" + browser.cookie("__Host-access").value) < 4096
    assert len(json.dumps(result["of"], separators=(",", ":"))) == 1024
