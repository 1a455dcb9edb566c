"""The settings of this service as one frozen, typed object, with the default and the allowed values of each.

The docstrings below the fields of `AuthSettings` are published: `make docs` copies them to docs/settings.md.
"""

import dataclasses
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

from accounts.defaults import MIN_PASSWORD_LENGTH
from accounts.setting_values import RESERVED_CLAIMS, are_extra_claims, is_network, is_origin, validate_setting

ALGORITHMS = ("ES256", "EdDSA", "RS256", "HS256")
PROFILE_CLAIMS = ("username", "email", "fullname")
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


class _Rule(NamedTuple):
    """The allowed values of a setting: a description for the operator, and a function that checks a value."""

    allowed: str
    is_valid: Callable[[Any], bool]


def _one_of(*names: str) -> _Rule:
    return _Rule(f"one of {', '.join(names)}", lambda value: value in names)


def _each_of(*names: str) -> _Rule:
    return _Rule(f"a comma-separated list of {', '.join(names)}", lambda value: set(value) <= set(names))


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
_NON_EMPTY = _Rule("any text that is not empty", lambda value: bool(value.strip()))
_NAMES = _Rule(
    "a comma-separated list of at least one name",
    lambda value: bool(value) and all(name.strip() for name in value) and len(set(value)) == len(value),
)
_ROLES = _Rule(
    "a comma-separated list of role names",
    lambda value: all(re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name) for name in value),
)
_EXTRA_CLAIMS = _Rule(
    f"a comma-separated list of claim names, such as tenant, but none of {', '.join(sorted(RESERVED_CLAIMS))}",
    are_extra_claims,
)
_FUNCTION_OR_EMPTY = _Rule(
    "empty, or the dotted path of a function, such as project.claims.for_user",
    lambda value: re.fullmatch(r"(([A-Za-z_]\w*\.)+[A-Za-z_]\w*)?", value, re.ASCII) is not None,
)
_PROXIES = _Rule(
    "a comma-separated list of IP addresses and networks, such as 10.0.0.0/8",
    lambda value: all(is_network(proxy) for proxy in value),
)
_URL_OR_EMPTY = _Rule(
    "empty, or a URL that begins with http:// or https://", lambda value: not value or is_origin(value)
)
_DOMAIN_OR_EMPTY = _Rule(
    "empty, or a host name such as example.com",
    lambda value: re.fullmatch(r"(\.?[a-z0-9-]+(\.[a-z0-9-]+)+)?", value, re.IGNORECASE) is not None,
)
_FILE_OR_EMPTY = _Rule("empty, or the path of an existing file", lambda value: not value or Path(value).is_file())
_FOLDER = _Rule("the path of a folder", lambda value: isinstance(value, Path))


def _setting(default: Any, rule: _Rule, environment: str = "") -> Any:
    return dataclasses.field(default=default, metadata={"rule": rule, "environment": environment})


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthSettings:
    """The settings that an operator can change.

    Raises ImproperlyConfigured on creation if a value is not allowed. The message names the setting, the value and
    the allowed values.
    """

    access_token_lifetime: timedelta = _setting(timedelta(seconds=900), _DURATION)
    """Lifetime of access tokens. Services that only verify signatures accept a token until it expires, even after
    its session is revoked, so choose a short lifetime."""

    refresh_token_lifetime: timedelta = _setting(timedelta(days=1), _DURATION)
    """Lifetime of refresh tokens: since the last refresh if rotation is on, since sign-in if it is off."""

    session_lifetime: timedelta = _setting(timedelta(days=30), _DURATION)
    """Maximum lifetime of a session since sign-in, however often it is refreshed."""

    unremembered_session_lifetime: timedelta = _setting(timedelta(hours=12), _DURATION)
    """The same for sign-ins with `remember: false`, whose cookies the browser deletes when it is closed. It never
    exceeds AUTH_SESSION_LIFETIME."""

    max_sessions: int = _setting(
        0, _Rule("a whole number from 0 to 1000", lambda value: type(value) is int and value in range(1001))
    )
    """Maximum number of live sessions of one user, or 0 for no limit. A sign-in beyond it ends the sessions that
    began first."""

    refresh_token_rotation: bool = _setting(default=True, rule=_BOOLEAN)
    """Whether each refresh replaces the refresh token. Turn this off only for clients that cannot store a new
    one."""

    refresh_token_grace: timedelta = _setting(timedelta(seconds=10), _DURATION_OR_ZERO)
    """How long after a rotation the previous refresh token still returns the same successor. This keeps clients
    signed in that refresh twice at once or lose a response. Later, the previous token counts as reused."""

    revocation_lag: timedelta = _setting(timedelta(), _DURATION_OR_ZERO)
    """How long a process may cache the validity of a session. With 0, each request runs one query, and a
    revocation takes effect immediately. With a higher value, other processes may notice a revocation that much
    later."""

    recent_authentication: timedelta = _setting(timedelta(seconds=300), _DURATION)
    """How long a sign-in or reauthentication counts as recent for sensitive actions (step-up, RFC 9470)."""

    mail_token_lifetime: timedelta = _setting(timedelta(seconds=600), _DURATION)
    """How long the links in emails are valid."""

    cookie_domain: str = _setting("", _DOMAIN_OR_EMPTY)
    """The domain whose sites share the token cookies. Every host in it receives the tokens, so all of them must be
    trusted."""

    form_token: bool = _setting(default=False, rule=_BOOLEAN)
    """Whether the access token is also accepted in the form field `access_token` (RFC 6750 section 2.2)."""

    profile_claims: tuple[str, ...] = _setting((), _each_of(*PROFILE_CLAIMS))
    """Claims about the user to include in access tokens. With `email` comes `email_verified`. Anyone who obtains a
    token can read them."""

    claims: str = _setting("", _FUNCTION_OR_EMPTY)
    """A function of your project that returns further claims for access tokens, called with the user and the
    session. Requires AUTH_EXTRA_CLAIMS. See concepts.md, *Add claims*."""

    extra_claims: tuple[str, ...] = _setting((), _EXTRA_CLAIMS)
    """The names of the claims that AUTH_CLAIMS may add. Others are left out."""

    start_page: bool = _setting(default=True, rule=_BOOLEAN)
    """Whether `/` serves a page on which to try the service."""

    public_url: str = _setting("", _URL_OR_EMPTY, environment="PUBLIC_URL")
    """The public URL of this service, such as https://auth.example.com. Links in emails begin with it. If it
    begins with https, cookies are Secure, plain HTTP is redirected and HSTS is sent."""

    signup_roles: tuple[str, ...] = _setting(("user",), _ROLES)
    """The roles that can be requested at sign-up."""

    unverified_signin: bool = _setting(default=True, rule=_BOOLEAN)
    """Whether a user can sign in before verifying the email address."""

    hide_known_email: bool = _setting(default=False, rule=_BOOLEAN)
    """Whether sign-up returns the same response for an email address that already has an account. The owner of the
    address is notified by email. Requires AUTH_UNVERIFIED_SIGNIN=false, because otherwise the sign-in that follows
    would reveal it."""

    password_min_length: int = _setting(
        MIN_PASSWORD_LENGTH,
        _Rule("a whole number from 8 to 64", lambda value: 8 <= value <= 64),  # noqa: PLR2004
    )
    """The minimum number of characters of a new password. NIST SP 800-63B-4 requires 15 where the password is the
    only factor. Existing passwords stay valid."""

    breached_passwords: str = _setting("", _FILE_OR_EMPTY)
    """A file of SHA-1 hashes of breached passwords, which are rejected as new passwords. Use the list of Have I
    Been Pwned, sorted by hash. Without a file, only the 20 000 most common passwords are rejected."""

    activity_lifetime: timedelta = _setting(timedelta(days=90), _DURATION)
    """How long entries of the security history are stored."""

    missing_token_status: int = _setting(401, _Rule("401 or 403", lambda value: value in (401, 403)))
    """The HTTP status of a request without an access token. Use 403 for clients that refresh after every 401."""

    account_limit: Limit | None = _setting(Limit(10, 900), _LIMIT)
    """Maximum number of failed attempts on one account, and of emails requested for one email address."""

    address_limit: Limit | None = _setting(Limit(100, 900), _LIMIT)
    """Maximum number of failed attempts, sign-ups and requested emails from one IP address (for IPv6, from one /64
    network)."""

    trusted_proxies: tuple[str, ...] = _setting((), _PROXIES)
    """The proxies whose X-Forwarded-For and X-Forwarded-Proto headers are trusted. They must overwrite these
    headers if a client sends them."""

    issuer: str = _setting("http://localhost:8000", _NON_EMPTY)
    """The `iss` claim of access tokens, from which other services derive the location of the keys. Defaults to
    PUBLIC_URL if that is set."""

    audience: tuple[str, ...] = _setting(("authproject",), _NAMES)
    """The `aud` claim of access tokens: the names of the services that accept them, with this service first."""

    algorithm: str = _setting("ES256", _one_of(*ALGORITHMS))
    """The algorithm that signs access tokens. Use HS256 only if no other service verifies tokens, because its key
    can also sign them."""

    token_encryption: bool = _setting(default=False, rule=_BOOLEAN)
    """Whether access tokens are encrypted, so that clients cannot read them. Services that verify tokens need the
    encryption key: see services.md, *Encrypted tokens*. Each kind of token is accepted whatever this says."""

    keys_dir: Path = _setting(Path("data/keys"), _FOLDER)
    """The folder of the signing keys. Machines that share a database must share this folder."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            validate_setting(field, getattr(self, field.name))
        self._validate_combinations()

    def _validate_combinations(self) -> None:
        if self.hide_known_email and self.unverified_signin:
            raise ImproperlyConfigured(
                "AUTH_HIDE_KNOWN_EMAIL is 'true'. Allowed: false; true with AUTH_UNVERIFIED_SIGNIN=false."
            )
        if bool(self.claims) != bool(self.extra_claims):
            raise ImproperlyConfigured(
                f"AUTH_CLAIMS is {self.claims!r}. Allowed: set together with AUTH_EXTRA_CLAIMS, or neither."
            )
        host, domain = urlsplit(self.public_url).hostname, self.cookie_domain.lstrip(".").lower()
        if host and domain and not f".{host}".endswith(f".{domain}"):
            raise ImproperlyConfigured(
                f"AUTH_COOKIE_DOMAIN is {self.cookie_domain!r}. Allowed: a domain that contains the host of "
                f"PUBLIC_URL, {host}."
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Return the settings from a mapping such as `settings.AUTH`, whose keys are the names of the fields.

        Raises ImproperlyConfigured if a name is unknown or a value is not allowed.
        """
        unknown = set(values) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise ImproperlyConfigured(
                f"Unknown setting in AUTH: {', '.join(sorted(unknown))}. Remove it, or correct its name."
            )
        return cls(**values)


@cache
def auth_settings() -> AuthSettings:
    """Return the settings, validated at first use and cached until `override_settings` clears the cache.

    Raises ImproperlyConfigured if a setting is unknown or its value is not allowed.
    """
    return AuthSettings.from_mapping(getattr(settings, "AUTH", {}))


@receiver(setting_changed)
def _clear_cache(*, setting: str, **_: object) -> None:
    if setting == "AUTH":
        auth_settings.cache_clear()
