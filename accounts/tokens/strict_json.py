"""JSON that every reader reads alike (RFC 8259 section 4, RFC 7493): no name twice, no number that is none."""

import json
from typing import Any, NoReturn

_LONGEST_NUMBER = 4000  # digits; beyond some more Python reads none, and says so in words about itself


def loads(text: str) -> Any:
    """Return the value.

    Raises ValueError for what is no such JSON, and RecursionError for what is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_constant=_refuse_constant)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name stands there twice")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError("a number is too long")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
