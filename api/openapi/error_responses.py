"""Error responses in the OpenAPI document: by status, every possible code with an example."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from rest_framework.exceptions import APIException, UnsupportedMediaType
from rest_framework.response import Response

from accounts.errors import (
    CsrfFailed,
    InvalidRequest,
    RecentAuthenticationRequired,
    Throttled,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TokenRevoked,
    TokenStale,
    Unavailable,
)
from accounts.factor_errors import PendingFactor
from api.defaults import MAX_BODY_SIZE
from api.errors import PayloadTooLarge, response_for

EXTENSION = "x-error-responses"
_ERROR_SCHEMA = {
    "type": "object",
    "description": "An error.",
    "properties": {
        "message": {"type": "string", "description": "What went wrong, for people."},
        "code": {"type": "string", "description": "What went wrong, for programs."},
        "errors": {
            "type": "object",
            "description": "What is wrong with the fields of the body, by field.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "maxAge": {"type": "integer", "description": "How many seconds an authentication counts as recent."},
        "authSession": {"type": "string", "description": "The sign-in to complete with a second factor."},
        "expiresIn": {"type": "integer", "description": "How many seconds the authSession is valid."},
        "factors": {
            "type": "array",
            "description": "The kinds of second factor that the user has.",
            "items": {"type": "string", "enum": ["totp", "passkey", "recovery_code"]},
        },
        "passkey": {
            "type": "object",
            "description": "PublicKeyCredentialRequestOptionsJSON, if the user has a passkey.",
            "additionalProperties": True,
        },
        "error": {"type": "string", "description": "The code again, where RFC 6749 requires it."},
        "error_description": {"type": "string", "description": "The message again, where RFC 6749 requires it."},
    },
    "required": ["message", "code"],
    "additionalProperties": False,
}
_HEADERS = {
    "WWW-Authenticate": {"description": "How to authenticate (RFC 6750).", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before the next attempt.", "schema": {"type": "integer"}},
}


class BodyTimeout(APIException):
    """The body did not arrive in time. Raised by `authproject.rsgi`, before a view is called."""

    status_code = HTTPStatus.REQUEST_TIMEOUT
    default_code = "invalid_request"
    default_detail = "The body did not arrive in time."


TOKEN_ERRORS = (TokenMissing(), TokenInvalid(), TokenExpired(), TokenRevoked(), TokenStale())
"""The errors of endpoints that require an access token."""

CSRF_ERROR = CsrfFailed("the page's origin is not allowed.")

CHANGE_ERRORS = (*TOKEN_ERRORS, CSRF_ERROR)
"""The errors of endpoints that require an access token and change something."""

BODY_ERRORS = (
    InvalidRequest(errors={"username": ["This field is required."]}),
    BodyTimeout(),
    PayloadTooLarge(MAX_BODY_SIZE),
    UnsupportedMediaType("text/plain"),
)
"""The errors of endpoints that read a body."""

THROTTLED = Throttled(900)

STEP_UP_ERROR = RecentAuthenticationRequired(300)

EXAMPLE_OF_SECOND_STEP = PendingFactor(
    auth_session="authsess_Zx3kPq0v8mA7bW…",
    expires_in=300,
    factors=("totp", "passkey", "recovery_code"),
    passkey={"challenge": "RY983iq1…", "rpId": "auth.example.com", "userVerification": "required"},
)

ACCESS_TOKEN_SECURITY: Any = [{"bearer": []}, {"xAccessToken": []}, {"cookie": []}]
"""The security of endpoints for access tokens, where it does not follow from the authentication class."""

CLIENT_SECURITY: Any = [{"service": []}, {}]
"""The security of endpoints for OAuth clients: HTTP Basic, or credentials in the body."""

_COMMON_ERRORS = (InvalidRequest(), Unavailable())


def error_responses(*samples: Exception) -> dict[str, Any]:
    """Return the `extensions` argument of `extend_schema` for an endpoint that can raise these errors."""
    return {EXTENSION: (*samples, *_COMMON_ERRORS)}


def add_error_responses(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the rendered error responses of each endpoint to the OpenAPI document."""
    result["components"]["schemas"]["Error"] = _ERROR_SCHEMA
    for operation in _operations(result):
        responses = operation["responses"]
        for status, rendered in _by_status(operation.pop(EXTENSION, ())).items():
            responses[str(status)] = _response(rendered)
        for status, response in responses.items():
            response["description"] = response["description"] or HTTPStatus(int(status)).phrase
    return result


def _operations(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in result["paths"].values():
        yield from path.values()


def _by_status(samples: Sequence[Exception]) -> dict[int, list[Response]]:
    by_status: dict[int, list[Response]] = defaultdict(list)
    for rendered in filter(None, (response_for(sample) for sample in samples)):
        by_status[rendered.status_code].append(rendered)
    return dict(sorted(by_status.items()))


def _response(rendered: Sequence[Response]) -> dict[str, Any]:
    # If two errors have the same code, the first one is the example.
    examples = {
        example_response.data["code"]: {"value": example_response.data} for example_response in reversed(rendered)
    }
    codes = sorted(examples)
    schema = {"allOf": [{"$ref": "#/components/schemas/Error"}, {"properties": {"code": {"enum": codes}}}]}
    return {
        "description": "\n".join(f"- `{code}`: {examples[code]['value']['message']}" for code in codes),
        "headers": dict(_headers(rendered)),
        "content": {"application/json": {"schema": schema, "examples": {code: examples[code] for code in codes}}},
    }


def _headers(rendered: Sequence[Response]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, header in _HEADERS.items():
        presence = [name in example_response.headers for example_response in rendered]
        if any(presence):
            yield name, {**header, "required": all(presence)}
