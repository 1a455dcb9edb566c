"""Parse JSON strictly: reject repeated names and NaN, which parsers interpret differently (RFC 8259, RFC 7493)."""

import json
import re
from typing import Any, NoReturn

_MAX_DIGITS = 4000  # Python's own limit is slightly higher, and its message would mention Python settings

_MAX_DEPTH = 100  # Python's own limit depends on its version: 3.13 parses ten times as deep as 3.11
_STRING = re.compile(r'"(?:[^"\\]|\\.?)*+"?', re.DOTALL)  # possessive, so that no input takes more than one pass


def loads(text: str) -> Any:
    """Return the parsed value.

    Raises ValueError if the text is not strict JSON, and RecursionError if it is nested too deeply. The message of
    the ValueError may be shown to the client.
    """
    # The count is at least the depth, and quick: hardly any text has this many brackets.
    if text.count("[") + text.count("{") > _MAX_DEPTH and _depth(text) > _MAX_DEPTH:
        raise RecursionError
    return _decoder.decode(text)


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[\[{\]}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("an object repeats a name")
    return members


def _parse_integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


# json.loads() would build one for each text, which takes longer than parsing most of them.
_decoder = json.JSONDecoder(
    object_pairs_hook=_build_object, parse_int=_parse_integer, parse_constant=_reject_constant
)
