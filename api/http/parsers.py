"""Parsers for request bodies: JSON or a form, in UTF-8, of bounded size."""

from collections.abc import Iterable, Mapping
from typing import IO, Any
from urllib.parse import parse_qsl

from django.http import QueryDict
from rest_framework.exceptions import ParseError, UnsupportedMediaType, ValidationError
from rest_framework.parsers import BaseParser

from accounts.tokens import strict_json
from api.defaults import MAX_BODY_SIZE
from api.errors import PayloadTooLarge

_MAX_FIELDS = 100


class BoundedJSONParser(BaseParser):
    """Parses JSON (RFC 8259), always as UTF-8, whatever charset the client names."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the parsed value.

        Raises ParseError, PayloadTooLarge or UnsupportedMediaType.
        """
        try:
            return strict_json.loads(_read_text(stream, parser_context))
        except ValueError as error:
            raise ParseError(f"The body is not valid JSON: {error}") from None
        except RecursionError:
            raise ParseError("The body is not valid JSON: it is nested too deeply") from None


class BoundedFormParser(BaseParser):
    """Parses `application/x-www-form-urlencoded`."""

    media_type = "application/x-www-form-urlencoded"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> QueryDict:
        """Return the parsed fields.

        Raises ParseError, PayloadTooLarge or UnsupportedMediaType.
        """
        fields = QueryDict(mutable=True)
        try:
            # errors="strict", because replacing bytes would change a password.
            pairs = parse_qsl(
                _read_text(stream, parser_context),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_FIELDS,
            )
        except ValueError as error:
            raise ParseError(
                f"The body is not a valid form in UTF-8 with at most {_MAX_FIELDS} fields: {error}"
            ) from None
        for name, value in pairs:
            fields.appendlist(name, value)
        return fields


def refuse_repeated(fields: QueryDict, names: Iterable[str]) -> None:
    """Check that a form or a query string has each of the named fields at most once (RFC 6749 section 3.2).

    JSON with a repeated name is not parsed in the first place.

    Raises ValidationError.
    """
    repeated = [name for name in names if len(fields.getlist(name)) > 1]
    if repeated:
        raise ValidationError({name: ["This field must not be repeated."] for name in sorted(repeated)})


def _read_text(stream: IO[Any], context: Mapping[str, Any] | None) -> str:
    coding = context["request"].META.get("HTTP_CONTENT_ENCODING", "") if context else ""
    if coding.strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType(coding)
    body: bytes = stream.read(MAX_BODY_SIZE + 1)
    if len(body) > MAX_BODY_SIZE:
        raise PayloadTooLarge(MAX_BODY_SIZE)
    return body.decode()
