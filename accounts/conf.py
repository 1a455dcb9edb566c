"""The settings of this service: one frozen object, typed, each with its default and its rule beside it."""

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

ALGORITHMS = ("ES256", "EdDSA", "RS256", "HS256")
PROFILE_CLAIMS = ("username", "email", "fullname")
_WINDOW_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Limit(NamedTuple):
    """So many failures in a window of so many seconds."""

    amount: int
    window: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `10/15m`: ten in a window of fifteen minutes; the units are s, m, h and d.

        Raises ValueError.
        """
        match = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,5})?([smhd])", text.strip(), re.ASCII)
        if match is None:
            raise ValueError(f"not a limit: {text!r}")
        amount, length, unit = match.groups()
        return cls(int(amount), int(length or 1) * _WINDOW_UNITS[unit])


class _Rule(NamedTuple):
    """What a setting may be: in words for the operator, and as a test."""

    allowed: str
    is_valid: Callable[[Any], bool]


def _one_of(*names: str) -> _Rule:
    return _Rule(f"one of {', '.join(names)}", lambda value: value in names)


def _each_of(*names: str) -> _Rule:
    return _Rule(f"a comma-separated list of {', '.join(names)}", lambda value: set(value) <= set(names))


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_origin(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.hostname) and not (url.query or url.fragment)


_TEN_YEARS = timedelta(days=3650)
_DURATION = _Rule(
    "a whole number of seconds from 1 to 315360000", lambda value: timedelta(seconds=1) <= value <= _TEN_YEARS
)
_DURATION_OR_ZERO = _Rule(
    "a whole number of seconds from 0 to 3600", lambda value: timedelta() <= value <= timedelta(hours=1)
)
_BOOLEAN = _Rule("true or false", lambda value: isinstance(value, bool))
_LIMIT = _Rule(
    "a count and a window, such as 10/15m (s, m, h or d), or empty for no limit",
    lambda value: value is None or isinstance(value, Limit),
)
_NON_EMPTY = _Rule("a text that is not empty", lambda value: bool(value.strip()))
_NAMES = _Rule(
    "a comma-separated list of at least one name",
    lambda value: bool(value) and all(name.strip() for name in value) and len(set(value)) == len(value),
)
_ROLES = _Rule(
    "a comma-separated list of role names",
    lambda value: all(re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name) for name in value),
)
_PROXIES = _Rule(
    "a comma-separated list of IP addresses and networks, such as 10.0.0.0/8",
    lambda value: all(_is_network(proxy) for proxy in value),
)
_URL_OR_EMPTY = _Rule("empty, or an http:// or https:// address", lambda value: not value or _is_origin(value))
_DOMAIN_OR_EMPTY = _Rule(
    "empty, or a host name such as example.com",
    lambda value: re.fullmatch(r"(\.?[a-z0-9-]+(\.[a-z0-9-]+)+)?", value, re.IGNORECASE) is not None,
)
_FILE_OR_EMPTY = _Rule("empty, or the path of a file", lambda value: not value or Path(value).is_file())
_FOLDER = _Rule("the path of a folder", lambda value: isinstance(value, Path))


def _setting(default: Any, rule: _Rule, environment: str = "") -> Any:
    return dataclasses.field(default=default, metadata={"rule": rule, "environment": environment})


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthSettings:
    """What an operator can set. Wrong values are refused when the object is made.

    Raises django.core.exceptions.ImproperlyConfigured, naming the setting, the value and what is allowed.
    """

    access_token_lifetime: timedelta = _setting(timedelta(seconds=900), _DURATION)
    """How long an access token is honoured. Who only checks signatures cannot recall it: keep it short."""

    refresh_token_lifetime: timedelta = _setting(timedelta(days=1), _DURATION)
    """How long a refresh token is good: since the last refresh with rotation, since the sign-in without."""

    session_lifetime: timedelta = _setting(timedelta(days=30), _DURATION)
    """How long a session lives since the sign-in, whatever is refreshed."""

    refresh_token_rotation: bool = _setting(default=True, rule=_BOOLEAN)
    """Whether a refresh swaps the refresh token for its successor. Off for clients that never store a new one."""

    refresh_token_grace: timedelta = _setting(timedelta(seconds=10), _DURATION_OR_ZERO)
    """How long after a rotation the previous generation is answered with the same successor."""

    revocation_lag: timedelta = _setting(timedelta(), _DURATION_OR_ZERO)
    """How stale the knowledge of a session's state may be. At 0 each request asks the database once; above it a
    process remembers the answer for as long. What a process changes itself it knows at once."""

    recent_authentication: timedelta = _setting(timedelta(seconds=300), _DURATION)
    """How long a sign-in or step-up counts as recent, for what is sensitive (step-up, RFC 9470)."""

    mail_token_lifetime: timedelta = _setting(timedelta(seconds=600), _DURATION)
    """How long a mailed link works."""

    cookie_domain: str = _setting("", _DOMAIN_OR_EMPTY)
    """The domain that sister sites share cookies under. Every host below it gets the tokens: trust them all."""

    form_token: bool = _setting(default=False, rule=_BOOLEAN)
    """Whether the access token is taken from the form field `access_token` as well (RFC 6750 section 2.2)."""

    profile_claims: tuple[str, ...] = _setting((), _each_of(*PROFILE_CLAIMS))
    """What access tokens say about a person. Anyone who sees a token can read it."""

    start_page: bool = _setting(default=True, rule=_BOOLEAN)
    """Whether `/` is served: a page on which a person tries the service."""

    public_url: str = _setting("", _URL_OR_EMPTY, environment="PUBLIC_URL")
    """Where people reach this service, as in https://auth.example.com; links in mails begin with it. With https,
    cookies are for TLS alone, plain HTTP is redirected and HSTS is sent."""

    signup_roles: tuple[str, ...] = _setting(("user",), _ROLES)
    """The roles that a sign-up may ask for."""

    unverified_signin: bool = _setting(default=True, rule=_BOOLEAN)
    """Whether a user whose e-mail address is not verified may sign in."""

    hide_known_email: bool = _setting(default=False, rule=_BOOLEAN)
    """Whether a sign-up under an address that has an account is answered like any other; the owner of the address
    is told by mail. Needs AUTH_UNVERIFIED_SIGNIN=false: otherwise a sign-in would tell."""

    breached_passwords: str = _setting("", _FILE_OR_EMPTY)
    """A file of the SHA-1 hashes of breached passwords, which nobody may choose: that of Have I Been Pwned, in
    ascending order. Without one, the 20 000 most common passwords are refused all the same."""

    activity_lifetime: timedelta = _setting(timedelta(days=90), _DURATION)
    """How long a user's security history is kept."""

    missing_token_status: int = _setting(401, _Rule("401 or 403", lambda value: value in (401, 403)))
    """How a request without an access token is answered. 403 for clients that take every 401 as 'refresh now'."""

    account_limit: Limit | None = _setting(Limit(10, 900), _LIMIT)
    """Failed guesses on one account, and mails asked for to one e-mail address."""

    address_limit: Limit | None = _setting(Limit(100, 900), _LIMIT)
    """Failed guesses, sign-ups and mails asked for from one address (for IPv6, from one /64 network)."""

    trusted_proxies: tuple[str, ...] = _setting((), _PROXIES)
    """The proxies whose X-Forwarded-For and X-Forwarded-Proto count. They must replace what clients send."""

    issuer: str = _setting("http://localhost:8000", _NON_EMPTY)
    """The `iss` of access tokens, by which other services find this one's keys: PUBLIC_URL, where that is set."""

    audience: tuple[str, ...] = _setting(("authproject",), _NAMES)
    """The `aud` of access tokens: the services that they are for, this one first."""

    algorithm: str = _setting("ES256", _one_of(*ALGORITHMS))
    """How access tokens are signed. HS256 is for one service alone: who verifies could sign as well."""

    keys_dir: Path = _setting(Path("data/keys"), _FOLDER)
    """Where signing keys are kept. Machines that share a database share this folder."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            validate_setting(field, getattr(self, field.name))
        self._validate_combinations()

    def _validate_combinations(self) -> None:
        if self.hide_known_email and self.unverified_signin:
            raise ImproperlyConfigured(
                "AUTH_HIDE_KNOWN_EMAIL is 'true'. Allowed: false; true with AUTH_UNVERIFIED_SIGNIN=false."
            )
        host, domain = urlsplit(self.public_url).hostname, self.cookie_domain.lstrip(".").lower()
        if host and domain and not f".{host}".endswith(f".{domain}"):
            raise ImproperlyConfigured(
                f"AUTH_COOKIE_DOMAIN is {self.cookie_domain!r}. Allowed: a domain that PUBLIC_URL's host "
                f"{host} is in."
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Build from `settings.AUTH`, whose keys are the fields' names.

        Raises ImproperlyConfigured for an unknown name or a wrong value.
        """
        unknown = set(values) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise ImproperlyConfigured(f"AUTH has no setting named {', '.join(sorted(unknown))}")
        return cls(**values)


def environment_name(field: "dataclasses.Field[Any]") -> str:
    """Name the environment variable that carries a setting."""
    return field.metadata["environment"] or f"AUTH_{field.name.upper()}"


def validate_setting(field: "dataclasses.Field[Any]", value: object) -> None:
    """Raise ImproperlyConfigured, in the operator's words, where a setting's rule does not hold."""
    rule: _Rule = field.metadata["rule"]
    try:
        is_allowed = rule.is_valid(value)
    except (TypeError, AttributeError):
        is_allowed = False
    if not is_allowed:
        raise ImproperlyConfigured(describe_invalid_setting(field, value))


def describe_invalid_setting(field: "dataclasses.Field[Any]", value: object) -> str:
    """Say what is wrong: the setting, the value and what is allowed."""
    if isinstance(value, timedelta):
        value = f"{value.total_seconds():g}"
    elif isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f"{environment_name(field)} is {str(value)!r}. Allowed: {field.metadata['rule'].allowed}."


@cache
def auth_settings() -> AuthSettings:
    """Return the settings in force.

    Raises ImproperlyConfigured.
    """
    return AuthSettings.from_mapping(getattr(settings, "AUTH", {}))


@receiver(setting_changed)
def _clear_cache(*, setting: str, **_: object) -> None:
    if setting == "AUTH":
        auth_settings.cache_clear()
