"""JSON that every reader reads alike (RFC 8259 section 4, RFC 7493): no name twice, no number that is none."""

import json
from typing import Any, NoReturn


def loads(text: str) -> Any:
    """Return the value.

    Raises ValueError for what is no such JSON, and RecursionError for what is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name stands there twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
