"""The allowed values of settings, as rules that say what is allowed and check a value."""

import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

from accounts.setting_values import (
    ALLOWED_PAGES,
    RESERVED_CLAIMS,
    are_extra_claims,
    is_network,
    is_origin,
    is_page,
)

_WINDOW_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Limit(NamedTuple):
    """A rate limit: at most `amount` attempts in a window of `window` seconds."""

    amount: int
    window: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a limit such as `10/15m`: ten attempts in fifteen minutes. The units are s, m, h and d.

        Raises ValueError if the text is not a limit.
        """
        match = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,5})?([smhd])", text.strip(), re.ASCII)
        if match is None:
            raise ValueError(f"not a limit: {text!r}")
        amount, length, unit = match.groups()
        return cls(int(amount), int(length or 1) * _WINDOW_UNITS[unit])


class Rule(NamedTuple):
    """The allowed values of a setting: a description for the operator, and a function that checks a value."""

    allowed: str
    is_valid: Callable[[Any], bool]


def one_of(*names: str) -> Rule:
    """Return the rule that a value is one of the names."""
    return Rule(f"one of {', '.join(names)}", lambda value: value in names)


def each_of(*names: str) -> Rule:
    """Return the rule that every value of a list is one of the names."""
    return Rule(f"a comma-separated list of {', '.join(names)}", lambda value: set(value) <= set(names))


_TEN_YEARS = timedelta(days=3650)
DURATION = Rule(
    "a whole number of seconds from 1 to 315360000", lambda value: timedelta(seconds=1) <= value <= _TEN_YEARS
)
DURATION_OR_ZERO = Rule(
    "a whole number of seconds from 0 to 3600", lambda value: timedelta() <= value <= timedelta(hours=1)
)
BOOLEAN = Rule("true or false", lambda value: isinstance(value, bool))
LIMIT = Rule(
    "a count and a window, such as 10/15m (s, m, h or d), or empty for no limit",
    lambda value: value is None or isinstance(value, Limit),
)
NON_EMPTY = Rule("any text that is not empty", lambda value: bool(value.strip()))
NAMES = Rule(
    "a comma-separated list of at least one name",
    lambda value: bool(value) and all(name.strip() for name in value) and len(set(value)) == len(value),
)
ROLES = Rule(
    "a comma-separated list of role names",
    lambda value: all(re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name) for name in value),
)
EXTRA_CLAIMS = Rule(
    f"a comma-separated list of claim names, such as tenant, but none of {', '.join(sorted(RESERVED_CLAIMS))}",
    are_extra_claims,
)
FUNCTION_OR_EMPTY = Rule(
    "empty, or the dotted path of a function, such as project.claims.for_user",
    lambda value: re.fullmatch(r"(([A-Za-z_]\w*\.)+[A-Za-z_]\w*)?", value, re.ASCII) is not None,
)
PROXIES = Rule(
    "a comma-separated list of IP addresses and networks, such as 10.0.0.0/8, and unix:",
    lambda value: all(proxy == "unix:" or is_network(proxy) for proxy in value),
)
NETWORKS = Rule(
    "a comma-separated list of IP addresses and networks, such as 10.0.0.0/8",
    lambda value: all(map(is_network, value)),
)
URL_OR_EMPTY = Rule(
    "empty, or a URL such as https://auth.example.com, without user name, query and fragment",
    lambda value: not value or is_origin(value),
)
PAGE = Rule(ALLOWED_PAGES, is_page)
DOMAIN_OR_EMPTY = Rule(
    "empty, or a host name such as example.com",
    lambda value: re.fullmatch(r"(\.?[a-z0-9-]+(\.[a-z0-9-]+)+)?", value, re.IGNORECASE) is not None,
)
FILE_OR_EMPTY = Rule(
    "empty, or the path of a file that can be read",
    lambda value: not value or (Path(value).is_file() and os.access(value, os.R_OK)),
)
FOLDER = Rule("the path of a folder", lambda value: isinstance(value, Path))
