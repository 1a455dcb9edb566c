"""Test error responses: their codes, statuses and headers, and that they reveal nothing about the server."""

import sqlite3

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from accounts import errors, factor_errors, oauth_errors
from accounts.errors import AuthError, Kind
from api.errors import STATUSES

CONTRACT = {
    "invalid_request": 400, "username_taken": 400, "email_taken": 400, "role_unknown": 400,
    "role_not_allowed": 403, "signup_closed": 403, "invitation_invalid": 403,
    "invalid_credentials": 401, "token_missing": 401, "token_expired": 401, "token_invalid": 401,
    "token_revoked": 401, "token_stale": 401, "role_required": 403, "refresh_token_missing": 403,
    "refresh_token_unknown": 403, "refresh_token_expired": 403, "refresh_token_reused": 403,
    "refresh_token_revoked": 403, "invalid_password": 403, "recent_authentication_required": 403,
    "csrf_failed": 403, "account_in_use": 409, "not_found": 404, "email_unverified": 403, "invalid_client": 401, "throttled": 429, "unavailable": 503,
    "second_factor_required": 403, "invalid_code": 403, "auth_session_invalid": 403,
    "invalid_grant": 400, "invalid_target": 400, "unauthorized_client": 400, "unsupported_grant_type": 400,
    "insufficient_scope": 403,
}  # fmt: skip


def refusals():
    declared = {**vars(errors), **vars(factor_errors), **vars(oauth_errors)}.values()
    return [
        cls for cls in declared if isinstance(cls, type) and issubclass(cls, AuthError) and cls is not AuthError
    ]


def test_every_refusal_has_the_code_and_status_of_the_contract():
    assert {refusal.code: STATUSES[refusal.kind] for refusal in refusals()} == CONTRACT


def test_every_refusal_has_a_message_and_a_docstring():
    assert all(refusal.message and refusal.__doc__ for refusal in refusals())


def test_every_kind_has_a_status():
    assert set(STATUSES) == set(Kind)


@pytest.mark.parametrize("error", [OperationalError("secret host"), InterfaceError("secret host")])
@pytest.mark.parametrize("path", ["/api/test/user", "/readyz"])
def test_an_unreachable_database_causes_a_503(signed_in, assert_refused, error, path):
    with failing_database(error):
        response = signed_in.get(path, signed_in.access_token)

    assert_refused(response, 503, "unavailable")
    assert int(response["Retry-After"]) > 0
    assert b"secret" not in response.content


@pytest.mark.parametrize("path", ["/api/test/user", "/admin/"])
def test_a_damaged_database_causes_a_503(signed_in, assert_refused, path):
    damaged = DatabaseError("secret path")
    damaged.__cause__ = sqlite3.DatabaseError("database disk image is malformed")
    signed_in.http.raise_request_exception = False
    signed_in.http.cookies["sessionid"] = "x" * 32

    with failing_database(damaged):
        response = signed_in.get(path, signed_in.access_token)

    assert_refused(response, 503, "unavailable")
    assert int(response["Retry-After"]) > 0


def test_an_unreachable_database_causes_a_503_in_the_admin(client, assert_refused):
    client.raise_request_exception = False
    client.cookies["sessionid"] = "x" * 32
    with failing_database(OperationalError("secret host")):
        response = client.get("/admin/")

    assert_refused(response, 503, "unavailable")
    assert response["Retry-After"]


def test_liveness_does_not_depend_on_the_database(api):
    with failing_database(OperationalError()):
        assert api.get("/healthz").status_code == 200


def test_an_internal_error_reveals_no_detail(client, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr("api.views.content._text_response", _raising(RuntimeError("secret detail")))

    response = client.get("/api/test/all")

    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert b"secret" not in response.content


def test_an_error_has_cors_headers_for_an_allowed_origin(api):
    response = api.get("/api/test/user", Origin="http://localhost:8081")

    assert response.status_code == 401
    assert response["Access-Control-Allow-Origin"] == "http://localhost:8081"


def test_a_preflight_allows_the_headers_that_the_front_ends_send(api):
    response = api.http.options(
        "/api/auth/refreshToken",
        headers={
            "Origin": "http://localhost:8081",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-access-token",
        },
    )

    assert response.status_code == 200
    assert {"content-type", "x-access-token"} <= set(response["Access-Control-Allow-Headers"].split(", "))


def test_an_origin_that_is_not_allowed_gets_no_cors_headers(api):
    response = api.get("/api/test/all", Origin="http://evil.example")

    assert "Access-Control-Allow-Origin" not in response


def failing_database(error):
    return connection.execute_wrapper(_raising(error))


def _raising(error):
    def fail(*_args, **_options):
        raise error

    return fail
