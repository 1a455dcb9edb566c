"""Validate the value of a setting, and describe an invalid one to the operator."""

import dataclasses
import ipaddress
import re
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

RESERVED_CLAIMS = frozenset({
    "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "ver", "roles", "roles_omitted", "auth_time", "amr",
    "acr", "client_id", "username", "email", "fullname", "email_verified", "preferred_username", "scope", "azp",
    "nonce", "at_hash", "c_hash", "s_hash", "cnf", "act", "may_act", "events", "sub_id",
})  # fmt: skip
"""Claims that have a meaning in this service's tokens or by a standard (RFC 7519, RFC 9068, OpenID Connect)."""
ALLOWED_PAGES = (
    "a path of this service, such as /welcome, an https:// URL, or an http:// URL of localhost; each without a "
    "fragment, a user name or spaces. For an app, use an https:// URL that the app claims: other apps can "
    "register its own scheme"
)
"""The pages that `is_page` accepts, for the operator."""


def environment_name(field: "dataclasses.Field[Any]") -> str:
    """Return the name of the environment variable for a setting."""
    return field.metadata["environment"] or f"AUTH_{field.name.upper()}"


def validate_setting(field: "dataclasses.Field[Any]", value: object) -> None:
    """Raise ImproperlyConfigured if the value of a setting is not allowed."""
    try:
        is_allowed = not _is_text_for_list(field, value) and field.metadata["rule"].is_valid(value)
    except (TypeError, AttributeError, OSError):
        is_allowed = False
    if not is_allowed:
        raise ImproperlyConfigured(describe_invalid_setting(field, value) + _describe_wrong_type(field, value))


def _is_text_for_list(field: "dataclasses.Field[Any]", value: object) -> bool:
    """Return whether a text is where a list should be, such as `("shop")`: its letters would be the items."""
    return isinstance(field.default, tuple) and isinstance(value, str)


def _describe_wrong_type(field: "dataclasses.Field[Any]", value: object) -> str:
    """Return a sentence about a value of another type than the setting's, which only a project's AUTH can have."""
    expected = Path if isinstance(field.default, Path) else type(field.default)
    if isinstance(value, expected):
        return ""
    return f" Its type in AUTH is {expected.__name__}, not {type(value).__name__}."


def describe_invalid_setting(field: "dataclasses.Field[Any]", value: object) -> str:
    """Return an error message that names the setting, the value and the allowed values."""
    if isinstance(value, timedelta):
        value = f"{value.total_seconds():g}"
    elif isinstance(value, tuple):
        value = ",".join(map(str, value))
    shown = re.sub(r"//.*@", "//***@", str(value))  # a URL's user name and password
    return f"{environment_name(field)} is {shown!r}. Allowed: {field.metadata['rule'].allowed}."


def are_extra_claims(names: Collection[str]) -> bool:
    """Return whether a project may add claims with these names.

    Names are compared in any case: some JSON decoders ignore it, and `Sub` would replace `sub` there.
    """
    if isinstance(names, str):
        return False  # its letters would be names
    keys = {name.lower() for name in names}
    are_names = all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_.:/-]{0,99}", name, re.ASCII) for name in names)
    return are_names and len(keys) == len(names) and keys.isdisjoint(RESERVED_CLAIMS)


def is_network(text: str) -> bool:
    """Return whether the text is an IP address or network."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def is_origin(text: str) -> bool:
    """Return whether the text is an http or https URL without user name, query and fragment."""
    try:
        url = urlsplit(text)
        has_host = bool(url.hostname) and url.port != 0  # raises ValueError for a port that does not exist
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and has_host and re.search(r"[@?#\s\\]", text) is None


def is_page(text: str) -> bool:
    """Return whether emailed links may lead to a page: a path, an https URL, or an http URL of this machine.

    Schemes of apps are not allowed: any app on a device can register the scheme of another one and would receive
    the token. https links that an app claims are safe (RFC 8252 section 7.2). The fragment must be free for the
    token.
    """
    if re.fullmatch(r"[A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]+", text) is None:
        return False
    if text.startswith("/"):
        return not text.startswith("//")
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return False
    if not url.hostname or "@" in url.netloc:
        return False
    return url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.hostname))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
