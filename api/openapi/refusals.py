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
from api.http.parsers import LONGEST_BODY

EXTENSION = "x-refusals"
_SHAPE = {
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


class BodyTooLate(APIException):
    """The body did not come in time. `authproject.rsgi` says so, before there is a view."""

    status_code = HTTPStatus.REQUEST_TIMEOUT
    default_code = "invalid_request"
    default_detail = "The body did not arrive in time."


TOKEN = (TokenMissing(), TokenInvalid(), TokenExpired(), TokenRevoked(), TokenStale())
"""What an endpoint refuses with that needs an access token."""

FOREIGN = CsrfFailed("the page's origin is not allowed.")

CHANGE = (*TOKEN, FOREIGN)
"""What an endpoint refuses with that needs an access token, and changes something."""

BODY = (
    InvalidRequest(errors={"username": ["This field is required."]}),
    BodyTooLate(),
    PayloadTooLarge(LONGEST_BODY),
    UnsupportedMediaType("text/plain"),
)
"""What an endpoint refuses with that reads a body."""

THROTTLED = Throttled(900)

_ANY = (InvalidRequest(), Unavailable())


def error_responses(*samples: Exception) -> dict[str, Any]:
    """Give what `extend_schema` takes as `extensions` for an endpoint that refuses with these."""
    return {EXTENSION: (*samples, *_ANY)}


def add_error_responses(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Write the responses of each endpoint, as they are rendered, into the OpenAPI document."""
    result["components"]["schemas"]["Error"] = _SHAPE
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
    found: dict[int, list[Response]] = defaultdict(list)
    for rendered in filter(None, (response_for(sample) for sample in samples)):
        found[rendered.status_code].append(rendered)
    return dict(sorted(found.items()))


def _response(rendered: Sequence[Response]) -> dict[str, Any]:
    # Of two with one code the first is the better example.
    examples = {answer.data["code"]: {"value": answer.data} for answer in reversed(rendered)}
    codes = sorted(examples)
    schema = {"allOf": [{"$ref": "#/components/schemas/Error"}, {"properties": {"code": {"enum": codes}}}]}
    return {
        "description": "\n".join(f"- `{code}`: {examples[code]['value']['message']}" for code in codes),
        "headers": dict(_headers(rendered)),
        "content": {"application/json": {"schema": schema, "examples": {code: examples[code] for code in codes}}},
    }


def _headers(rendered: Sequence[Response]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, described in _HEADERS.items():
        carrying = [name in answer.headers for answer in rendered]
        if any(carrying):
            yield name, {**described, "required": all(carrying)}
