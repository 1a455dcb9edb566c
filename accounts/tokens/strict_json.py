"""JSON that every reader reads alike (RFC 8259 section 4, RFC 7493): no name twice, no number that is none."""

import json
from typing import Any, NoReturn

_MAX_DIGITS = 4000  # digits; beyond some more Python reads none, and says so in words about itself


def loads(text: str) -> Any:
    """Return the value.

    Raises ValueError for what is no such JSON, and RecursionError for what is nested too deeply.
    """
    return json.loads(
        text, object_pairs_hook=_build_object, parse_int=_parse_integer, parse_constant=_reject_constant
    )


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name stands there twice")
    return members


def _parse_integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
