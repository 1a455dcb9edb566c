"""What bodies may be: JSON or a form, in UTF-8, of a bounded length. Anything else is a clear refusal."""

from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import parse_qsl

from django.http import QueryDict
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser

from accounts.tokens import strict_json
from api.errors import PayloadTooLarge

MAX_BODY_SIZE = 64 * 1024
"""In bytes."""

_MAX_FIELDS = 100


class BoundedJSONParser(BaseParser):
    """Reads JSON (RFC 8259). The charset that a client claims is not looked at: JSON is UTF-8."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the value.

        Raises ParseError, PayloadTooLarge or UnsupportedMediaType.
        """
        try:
            return strict_json.loads(_read_text(stream, parser_context))
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}") from None
        except RecursionError:
            raise ParseError("The body is not JSON that is read here: it is nested too deeply") from None


class BoundedFormParser(BaseParser):
    """Reads `application/x-www-form-urlencoded`."""

    media_type = "application/x-www-form-urlencoded"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> QueryDict:
        """Return the fields.

        Raises ParseError, PayloadTooLarge or UnsupportedMediaType.
        """
        fields = QueryDict(mutable=True)
        try:
            # Strictly: a password whose bytes were replaced would be another password.
            pairs = parse_qsl(
                _read_text(stream, parser_context),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_FIELDS,
            )
        except ValueError as error:
            raise ParseError(f"The body is not a form in UTF-8 of at most {_MAX_FIELDS} fields: {error}") from None
        for name, value in pairs:
            fields.appendlist(name, value)
        return fields


def _read_text(stream: IO[Any], context: Mapping[str, Any] | None) -> str:
    coding = context["request"].META.get("HTTP_CONTENT_ENCODING", "") if context else ""
    if coding.strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType(coding)
    body: bytes = stream.read(MAX_BODY_SIZE + 1)
    if len(body) > MAX_BODY_SIZE:
        raise PayloadTooLarge(MAX_BODY_SIZE)
    return body.decode()
