"""Convert exceptions to responses: `{message, code}`, with `errors` for validation. No other module does."""

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import DatabaseError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import status
from rest_framework.exceptions import (
    APIException,
    ErrorDetail,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    ParseError,
    PermissionDenied,
    UnsupportedMediaType,
    ValidationError,
)
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.conf import auth_settings
from accounts.errors import (
    AuthError,
    CsrfFailed,
    InvalidClient,
    InvalidRequest,
    InvitationInvalid,
    Kind,
    MailTokenInvalid,
    RecentAuthenticationRequired,
    RefreshTokenUnknown,
    RoleNotAllowed,
    RoleRequired,
    Throttled,
    TokenInvalid,
    TokenMissing,
    Unavailable,
)
from accounts.errors import NotFound as AccountsNotFound
from accounts.factor_errors import PendingFactor, SecondFactorRequired
from accounts.history.events import Event, record
from accounts.tokens.access_tokens import step_up_error
from accounts.values.clients import Client
from api.http import challenges, field_errors

logger = logging.getLogger("api.errors")

STATUSES: Mapping[Kind, int] = {
    Kind.INVALID: status.HTTP_400_BAD_REQUEST,
    Kind.UNAUTHENTICATED: status.HTTP_401_UNAUTHORIZED,
    Kind.FORBIDDEN: status.HTTP_403_FORBIDDEN,
    Kind.NOT_FOUND: status.HTTP_404_NOT_FOUND,
    Kind.CONFLICT: status.HTTP_409_CONFLICT,
    Kind.THROTTLED: status.HTTP_429_TOO_MANY_REQUESTS,
    Kind.UNAVAILABLE: status.HTTP_503_SERVICE_UNAVAILABLE,
}
# read_only_sql_transaction: the database accepts no writes, for example because it is a replica.
_READ_ONLY_SQLSTATE = "25006"

_ERRORS_OF_KNOWN_USERS = (RoleRequired, RecentAuthenticationRequired, AccountsNotFound)
"""Errors that are raised after the user is authenticated."""

_SUSPICIOUS = (
    *_ERRORS_OF_KNOWN_USERS,
    InvalidClient,
    CsrfFailed,
    InvitationInvalid,
    MailTokenInvalid,
    RefreshTokenUnknown,
    RoleNotAllowed,
    TokenInvalid,
)
"""Errors that a correct client does not cause in normal operation. They are recorded as security events.

Exceeded limits are recorded where attempts are counted."""


class PayloadTooLarge(APIException):
    """The body is too large."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "payload_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is too large. Allowed: {limit} bytes.")


class Refusal(APIException):
    """An `AuthError` in the form that REST framework handles in any view, with any renderer and exception handler.

    Authentication and permission classes must raise nothing else: a project's views may use other handlers than
    `render_error`, and the browsable API catches only `APIException`.
    """

    def __init__(self, error: AuthError) -> None:
        super().__init__(error.message, error.code)
        self.error = error
        self.status_code = _status(error)
        headers = _headers(error)
        if "WWW-Authenticate" in headers:
            self.auth_header = headers["WWW-Authenticate"]
        if isinstance(error, Throttled | Unavailable):
            self.wait = error.retry_after


def render_error(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Return the response to an exception of a view, and record it if it may be an attack.

    This is REST framework's EXCEPTION_HANDLER. It returns None for unexpected exceptions, which become 500.
    """
    error = _unwrap(error)
    if isinstance(error, (*_SUSPICIOUS, PermissionDenied)):
        _record_refusal(error, context["request"])
    return response_for(error)


def response_for(error: Exception) -> Response | None:
    """Return the response to an exception, or None if it is unexpected."""
    error = _unwrap(error)
    if _is_database_error(error):
        if type(error) is DatabaseError:
            # Unlike an unreachable database, a damaged one needs an operator.
            logger.error("The database is damaged: %s", error)
        error = Unavailable()
    if isinstance(error, ImproperlyConfigured):
        # The key folder is unreadable, and this process has no keys yet. An operator can repair it.
        logger.error("A request failed because of the configuration: %s", error)
        error = Unavailable()
    if isinstance(error, InvalidRequest) and error.errors:
        # Names of model fields. The message contains them too.
        error = InvalidRequest(errors=field_errors.in_camel_case(error.errors))
    if isinstance(error, AuthError):
        return _error_response(error)
    if isinstance(error, ValidationError):
        # The names of request fields in the body.
        return _error_response(InvalidRequest(errors=field_errors.by_field(error.detail)))
    if isinstance(error, ParseError | SuspiciousOperation):
        return _error_response(InvalidRequest(str(error)))
    if isinstance(error, Http404):
        error = NotFound()
    if isinstance(error, APIException):
        body = {"message": str(error.detail), "code": _code(error)}
        return Response(body, error.status_code, headers=_framework_headers(error))
    return None


def _unwrap(error: Exception) -> Exception:
    """Return the `AuthError` that corresponds to an exception of REST framework, or the exception itself.

    Django's PermissionDenied becomes REST framework's.
    """
    if isinstance(error, Refusal):
        return error.error
    if isinstance(error, NotAuthenticated):
        return TokenMissing()
    if isinstance(error, DjangoPermissionDenied):
        return PermissionDenied(*error.args)
    if isinstance(error, PermissionDenied) and _code(error) == RecentAuthenticationRequired.code:
        return step_up_error()
    if isinstance(error, PermissionDenied) and _code(error) == SecondFactorRequired.code:
        return SecondFactorRequired()
    return error


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """Return the response to requests that Django rejects before a view is called, such as an unknown Host."""
    return _json_error("The request is not valid.", "invalid_request", status.HTTP_400_BAD_REQUEST)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the response to an unknown path."""
    if _is_admin_path(request):
        return defaults.page_not_found(request, exception)
    return _json_error("This path does not exist.", "not_found", status.HTTP_404_NOT_FOUND)


def method_not_allowed(method: str, allowed: Sequence[str]) -> HttpResponse:
    """Return the response to a method that a page does not support (RFC 9110 section 15.5.6)."""
    message = f'Method "{method}" not allowed.'
    response = _json_error(message, MethodNotAllowed.default_code, status.HTTP_405_METHOD_NOT_ALLOWED)
    response["Allow"] = ", ".join(allowed)
    return response


def server_error(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """Return the response to an exception outside the API's views: 503 for database errors, else 500."""
    exception = sys.exc_info()[1]
    if isinstance(exception, Unavailable) or _is_database_error(exception):
        response = _json_error(Unavailable.message, Unavailable.code, status.HTTP_503_SERVICE_UNAVAILABLE)
        response["Retry-After"] = str(Unavailable.retry_after)
        return response
    return _json_error(
        "Something went wrong on our side. Try again later.",
        "internal_error",
        status.HTTP_500_INTERNAL_SERVER_ERROR,
    )


def _record_refusal(error: AuthError | PermissionDenied, request: Request) -> None:
    is_known = isinstance(error, (*_ERRORS_OF_KNOWN_USERS, PermissionDenied))
    user_id = getattr(request.auth, "user_id", None) if is_known else None
    client = Client.from_environ(request.META)
    code = error.code if isinstance(error, AuthError) else _code(error)
    record(Event.ACCESS_REFUSED, client=client, user_id=user_id, code=code, path=request.path)


def _is_database_error(error: BaseException | None) -> bool:
    """Return whether the database is unreachable, damaged, full or read-only."""
    if type(error) is DatabaseError:
        # SQLite's error for a damaged file has a cause. Django's own error, for a bug in this service, has none.
        return error.__cause__ is not None
    if isinstance(error, InternalError):
        return getattr(error.__cause__, "sqlstate", None) == _READ_ONLY_SQLSTATE
    return isinstance(error, OperationalError | InterfaceError)


def _error_response(error: AuthError) -> Response:
    body: dict[str, Any] = {"message": error.message, "code": error.code}
    if isinstance(error, InvalidRequest) and error.errors:
        body["errors"] = error.errors
    if isinstance(error, RecentAuthenticationRequired):
        body["maxAge"] = error.max_age
    if isinstance(error, SecondFactorRequired) and error.sign_in is not None:
        body |= _second_step(error.sign_in)
    return Response(body, _status(error), headers=_headers(error))


def _second_step(pending: PendingFactor) -> dict[str, Any]:
    """Return what a client needs to complete a sign-in with a second factor."""
    fields: dict[str, Any] = {
        "authSession": pending.auth_session,
        "expiresIn": pending.expires_in,
        "factors": list(pending.factors),
    }
    return fields if pending.passkey is None else {**fields, "passkey": pending.passkey}


def _status(error: AuthError) -> int:
    if isinstance(error, TokenMissing):
        return auth_settings().missing_token_status
    return STATUSES[error.kind]


def _headers(error: AuthError) -> dict[str, str]:
    if isinstance(error, Throttled | Unavailable):
        return {"Retry-After": str(error.retry_after)}
    challenge = challenges.challenge_for(error, _status(error))
    return {"WWW-Authenticate": challenge} if challenge else {}


def _code(error: APIException) -> str:
    if isinstance(error, MethodNotAllowed):
        return "method_not_allowed"
    if isinstance(error, UnsupportedMediaType):
        return "unsupported_media_type"
    return str(error.detail.code) if isinstance(error.detail, ErrorDetail) else error.default_code


def _framework_headers(error: APIException) -> dict[str, str]:
    """Return the headers of an exception of REST framework, as its own handler sets them."""
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return headers


def _is_admin_path(request: HttpRequest) -> bool:
    return request.path_info.startswith("/admin/")


def _json_error(message: str, code: str, http_status: int) -> JsonResponse:
    headers = {"Cache-Control": "no-store"}
    return JsonResponse({"message": message, "code": code}, status=http_status, headers=headers)
