"""How refusals look."""

import sqlite3
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError

from accounts import errors
from accounts.errors import AuthError, Kind
from api.errors import STATUSES

CONTRACT = {
    "invalid_request": 400, "username_taken": 400, "email_taken": 400, "role_unknown": 400,
    "role_not_allowed": 403,
    "invalid_credentials": 401, "token_missing": 401, "token_expired": 401, "token_invalid": 401,
    "token_revoked": 401, "token_stale": 401, "role_required": 403, "refresh_token_missing": 403,
    "refresh_token_unknown": 403, "refresh_token_expired": 403, "refresh_token_reused": 403,
    "refresh_token_revoked": 403, "invalid_password": 403, "recent_authentication_required": 403,
    "csrf_failed": 403, "not_found": 404, "email_unverified": 403, "invalid_client": 401, "throttled": 429, "unavailable": 503,
}  # fmt: skip


def refusals():
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AuthError)][1:]


def test_every_refusal_has_the_code_and_status_of_the_contract():
    assert {refusal.code: STATUSES[refusal.kind] for refusal in refusals()} == CONTRACT


def test_every_refusal_says_something():
    assert all(refusal.message and refusal.__doc__ for refusal in refusals())


def test_every_kind_has_a_status():
    assert set(STATUSES) == set(Kind)


@pytest.mark.parametrize("fault", [OperationalError("secret host"), InterfaceError("secret host")])
@pytest.mark.parametrize("path", ["/api/test/user", "/readyz"])
def test_a_database_that_cannot_be_reached_is_503(signed_in, assert_refused, fault, path):
    with unreachable_database(fault):
        answer = signed_in.get(path, signed_in.access_token)

    assert_refused(answer, 503, "unavailable")
    assert int(answer["Retry-After"]) > 0
    assert b"secret" not in answer.content


@pytest.mark.parametrize("path", ["/api/test/user", "/admin/"])
def test_a_database_that_is_damaged_is_503(signed_in, assert_refused, path):
    damaged = DatabaseError("secret path")
    damaged.__cause__ = sqlite3.DatabaseError("database disk image is malformed")
    signed_in.http.raise_request_exception = False
    signed_in.http.cookies["sessionid"] = "x" * 32

    with unreachable_database(damaged):
        answer = signed_in.get(path, signed_in.access_token)

    assert_refused(answer, 503, "unavailable")
    assert int(answer["Retry-After"]) > 0


def test_on_an_admin_page_too(client, assert_refused):
    client.raise_request_exception = False
    client.cookies["sessionid"] = "x" * 32
    with unreachable_database(OperationalError("secret host")):
        answer = client.get("/admin/")

    assert_refused(answer, 503, "unavailable")
    assert answer["Retry-After"]


def test_liveness_asks_nothing(api):
    with unreachable_database(OperationalError()):
        assert api.get("/healthz").status_code == 200


def test_a_fault_of_ours_tells_nothing(client, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr("api.views.content._text_response", _raising(RuntimeError("secret detail")))

    answer = client.get("/api/test/all")

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert b"secret" not in answer.content


def test_errors_reach_a_page_of_another_origin(api):
    answer = api.get("/api/test/user", Origin="http://localhost:8081")

    assert answer.status_code == 401
    assert answer["Access-Control-Allow-Origin"] == "http://localhost:8081"


def test_a_preflight_allows_what_the_front_ends_send(api):
    answer = api.http.options(
        "/api/auth/refreshToken",
        headers={
            "Origin": "http://localhost:8081",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-access-token",
        },
    )

    assert answer.status_code == 200
    assert {"content-type", "x-access-token"} <= set(answer["Access-Control-Allow-Headers"].split(", "))


def test_another_origin_gets_no_cors_headers(api):
    answer = api.get("/api/test/all", Origin="http://evil.example")

    assert "Access-Control-Allow-Origin" not in answer


@contextmanager
def unreachable_database(fault):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.backends.utils.CursorWrapper.execute", _raising(fault))
        yield


def _raising(fault):
    def fail(*_args, **_options):
        raise fault

    return fail
