"""The settings of this service as one frozen, typed object, with the default and the allowed values of each.

The docstrings below the fields of `AuthSettings` are published: `make docs` copies them to docs/settings.md.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from accounts.defaults import MIN_PASSWORD_LENGTH
from accounts.setting_rules import (
    BOOLEAN,
    DOMAIN_OR_EMPTY,
    DURATION,
    DURATION_OR_ZERO,
    EXTRA_CLAIMS,
    FILE_OR_EMPTY,
    FOLDER,
    FUNCTION_OR_EMPTY,
    LIMIT,
    NAMES,
    NETWORKS,
    NON_EMPTY,
    PAGE,
    PROXIES,
    ROLES,
    URL_OR_EMPTY,
    Limit,
    Rule,
    each_of,
    one_of,
)
from accounts.setting_values import validate_setting

__all__ = ["ALGORITHMS", "PROFILE_CLAIMS", "SIGNUP_MODES", "AuthSettings", "Limit", "auth_settings"]

ALGORITHMS = ("ES256", "EdDSA", "RS256", "HS256")
PROFILE_CLAIMS = ("username", "email", "fullname")
SIGNUP_MODES = ("open", "invited", "closed")


def _setting(default: Any, rule: Rule, environment: str = "") -> Any:
    return dataclasses.field(default=default, metadata={"rule": rule, "environment": environment})


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthSettings:
    """The settings that an operator can change.

    Raises ImproperlyConfigured on creation if a value is not allowed. The message names the setting, the value and
    the allowed values.
    """

    access_token_lifetime: timedelta = _setting(timedelta(seconds=900), DURATION)
    """Lifetime of access tokens. Services that only verify signatures accept a token until it expires, even after
    its session is revoked, so choose a short lifetime."""

    refresh_token_lifetime: timedelta = _setting(timedelta(days=1), DURATION)
    """Lifetime of refresh tokens: since the last refresh if rotation is on, since sign-in if it is off."""

    session_lifetime: timedelta = _setting(timedelta(days=30), DURATION)
    """Maximum lifetime of a session since sign-in, however often it is refreshed."""

    unremembered_session_lifetime: timedelta = _setting(timedelta(hours=12), DURATION)
    """The same for sign-ins with `remember: false`, whose cookies the browser deletes when it is closed. It never
    exceeds AUTH_SESSION_LIFETIME."""

    max_sessions: int = _setting(
        0, Rule("a whole number from 0 to 1000", lambda value: type(value) is int and value in range(1001))
    )
    """Maximum number of live sessions of one user, or 0 for no limit. A sign-in beyond it ends the sessions that
    began first."""

    refresh_token_rotation: bool = _setting(default=True, rule=BOOLEAN)
    """Whether each refresh replaces the refresh token. Turn this off only for clients that cannot store a new
    one."""

    refresh_token_grace: timedelta = _setting(timedelta(seconds=10), DURATION_OR_ZERO)
    """How long after a rotation the previous refresh token still returns the same successor. This keeps clients
    signed in that refresh twice at once or lose a response. Later, the previous token counts as reused."""

    revocation_lag: timedelta = _setting(timedelta(), DURATION_OR_ZERO)
    """How long a process may cache the validity of a session. With 0, each request runs one query, and a
    revocation takes effect immediately. With a higher value, other processes may notice a revocation that much
    later."""

    recent_authentication: timedelta = _setting(timedelta(seconds=300), DURATION)
    """How long a sign-in or reauthentication counts as recent for sensitive actions (step-up, RFC 9470)."""

    mail_token_lifetime: timedelta = _setting(timedelta(seconds=600), DURATION)
    """How long the links in emails are valid."""

    verify_url: str = _setting("/verify-email", PAGE)
    """The page where emailed links to verify an address lead. It gets the token in the fragment, as in
    `#token=...`, and sends it to `POST /api/auth/email/verify`."""

    reset_url: str = _setting("/reset-password", PAGE)
    """The page where emailed links to choose a password lead. It sends the token to
    `POST /api/auth/password/reset/confirm`."""

    invitation_url: str = _setting("/invitation", PAGE)
    """The page where invitations lead. It sends the token as `invitation` to `POST /api/auth/signup`."""

    cookie_domain: str = _setting("", DOMAIN_OR_EMPTY)
    """The domain whose sites share the token cookies. Every host in it receives the tokens, so all of them must be
    trusted."""

    form_token: bool = _setting(default=False, rule=BOOLEAN)
    """Whether the access token is also accepted in the form field `access_token` (RFC 6750 section 2.2)."""

    profile_claims: tuple[str, ...] = _setting((), each_of(*PROFILE_CLAIMS))
    """Claims about the user to include in access tokens. With `email` comes `email_verified`. Anyone who obtains a
    token can read them."""

    claims: str = _setting("", FUNCTION_OR_EMPTY)
    """A function of your project that returns further claims for access tokens, called with the user and the
    session. Requires AUTH_EXTRA_CLAIMS. See concepts.md, *Add claims*."""

    extra_claims: tuple[str, ...] = _setting((), EXTRA_CLAIMS)
    """The names of the claims that AUTH_CLAIMS may add. Others are left out."""

    start_page: bool = _setting(default=True, rule=BOOLEAN)
    """Whether `/` serves a page on which to try the service."""

    public_url: str = _setting("", URL_OR_EMPTY, environment="PUBLIC_URL")
    """The public URL of this service, such as https://auth.example.com. Links in emails begin with it. If it
    begins with https, cookies are Secure, plain HTTP is redirected and HSTS is sent."""

    signup: str = _setting("open", one_of(*SIGNUP_MODES))
    """Whether sign-up is open, requires an invitation (`manage.py invite`), or is closed."""

    username_required: bool = _setting(default=True, rule=BOOLEAN)
    """Whether a sign-up must choose a username. Otherwise one is generated, and users sign in by email address."""

    second_factor_roles: tuple[str, ...] = _setting((), ROLES)
    """The roles that need a second factor, and `staff` for the Django admin. A token of a session without one does
    not contain these roles, and this service responds `second_factor_required`."""

    signup_roles: tuple[str, ...] = _setting(("user",), ROLES)
    """The roles that can be requested at sign-up."""

    unverified_signin: bool = _setting(default=True, rule=BOOLEAN)
    """Whether a user can sign in before verifying the email address."""

    hide_known_email: bool = _setting(default=False, rule=BOOLEAN)
    """Whether sign-up returns the same response for an email address that already has an account. The owner of the
    address is notified by email. Requires AUTH_UNVERIFIED_SIGNIN=false, because otherwise the sign-in that follows
    would reveal it."""

    password_min_length: int = _setting(
        MIN_PASSWORD_LENGTH,
        Rule("a whole number from 8 to 64", lambda value: 8 <= value <= 64),  # noqa: PLR2004
    )
    """The minimum number of characters of a new password. NIST SP 800-63B-4 requires 15 where the password is the
    only factor. Existing passwords stay valid."""

    breached_passwords: str = _setting("", FILE_OR_EMPTY)
    """A file of SHA-1 hashes of breached passwords, which are rejected as new passwords. Use the list of Have I
    Been Pwned, sorted by hash. Without a file, only the 20 000 most common passwords are rejected."""

    activity_lifetime: timedelta = _setting(timedelta(days=90), DURATION)
    """How long entries of the security history are stored."""

    missing_token_status: int = _setting(401, Rule("401 or 403", lambda value: value in (401, 403)))
    """The HTTP status of a request without an access token. Use 403 for clients that refresh after every 401."""

    account_limit: Limit | None = _setting(Limit(10, 900), LIMIT)
    """Maximum number of failed attempts on one account, and of emails requested for one email address."""

    address_limit: Limit | None = _setting(Limit(100, 900), LIMIT)
    """Maximum number of failed attempts, sign-ups and requested emails from one IP address (for IPv6, from one /64
    network)."""

    trusted_proxies: tuple[str, ...] = _setting((), PROXIES)
    """The proxies whose X-Forwarded-For and X-Forwarded-Proto headers are trusted. They must overwrite these
    headers if a client sends them. `unix:` is a proxy that connects to a Unix socket."""

    internal_networks: tuple[str, ...] = _setting((), NETWORKS)
    """The networks of your organization in which applications may be notified that a session has ended
    (back-channel logout). Other addresses that are not public are refused. Applications on this machine, at
    127.0.0.1, [::1] or localhost, need no entry."""

    issuer: str = _setting("http://localhost:8000", NON_EMPTY)
    """The `iss` claim of access tokens, from which other services derive the location of the keys. Defaults to
    PUBLIC_URL if that is set."""

    audience: tuple[str, ...] = _setting(("authproject",), NAMES)
    """The `aud` claim of access tokens: the names of the services that accept them, with this service first."""

    algorithm: str = _setting("ES256", one_of(*ALGORITHMS))
    """The algorithm that signs access tokens. Use HS256 only if no other service verifies tokens, because its key
    can also sign them."""

    token_encryption: bool = _setting(default=False, rule=BOOLEAN)
    """Whether access tokens are encrypted, so that clients cannot read them. Services that verify tokens need the
    encryption key: see services.md, *Encrypted tokens*. Each kind of token is accepted whatever this says."""

    keys_dir: Path = _setting(Path("data/keys"), FOLDER)
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
