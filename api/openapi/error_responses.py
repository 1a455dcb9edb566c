"""How the OpenAPI document tells of refusals: by status, each code that may stand there, and an example of it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from rest_framework.exceptions import APIException, UnsupportedMediaType
from rest_framework.response import Response

from accounts.errors import (
    CsrfFailed,
    InvalidRequest,
    Throttled,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TokenRevoked,
    TokenStale,
    Unavailable,
)
from api.errors import PayloadTooLarge, response_for
from api.http.parsers import MAX_BODY_SIZE

EXTENSION = "x-refusals"
_ERROR_SCHEMA = {
    "type": "object",
    "description": "How every refusal looks.",
    "properties": {
        "message": {"type": "string", "description": "What is wrong, for a person."},
        "code": {"type": "string", "description": "What is wrong, for a program."},
        "errors": {
            "type": "object",
            "description": "What is wrong with each field of the body.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "maxAge": {"type": "integer", "description": "For how many seconds an authentication counts as recent."},
        "error": {"type": "string", "description": "The code once more, where RFC 6749 asks for it."},
        "error_description": {"type": "string", "description": "The message once more, likewise."},
    },
    "required": ["message", "code"],
    "additionalProperties": False,
}
_HEADERS = {
    "WWW-Authenticate": {"description": "How to authenticate (RFC 6750).", "schema": {"type": "string"}},
    "Retry-After": {"description": "In how many seconds to try again.", "schema": {"type": "integer"}},
}


class BodyTimeout(APIException):
    """The body did not come in time. `authproject.rsgi` says so, before there is a view."""

    status_code = HTTPStatus.REQUEST_TIMEOUT
    default_code = "invalid_request"
    default_detail = "The body did not arrive in time."


TOKEN_ERRORS = (TokenMissing(), TokenInvalid(), TokenExpired(), TokenRevoked(), TokenStale())
"""What an endpoint refuses with that needs an access token."""

CSRF_ERROR = CsrfFailed("the page's origin is not allowed.")

CHANGE_ERRORS = (*TOKEN_ERRORS, CSRF_ERROR)
"""What an endpoint refuses with that needs an access token, and changes something."""

BODY_ERRORS = (
    InvalidRequest(errors={"username": ["This field is required."]}),
    BodyTimeout(),
    PayloadTooLarge(MAX_BODY_SIZE),
    UnsupportedMediaType("text/plain"),
)
"""What an endpoint refuses with that reads a body."""

THROTTLED = Throttled(900)

_COMMON_ERRORS = (InvalidRequest(), Unavailable())


def error_responses(*samples: Exception) -> dict[str, Any]:
    """Give what `extend_schema` takes as `extensions` for an endpoint that refuses with these."""
    return {EXTENSION: (*samples, *_COMMON_ERRORS)}


def add_error_responses(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Write the responses of each endpoint, as they are rendered, into the OpenAPI document."""
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
    # Of two with one code the first is the better example.
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
