"""Issue and verify access tokens with this service's keys and settings (RFC 7519, RFC 9068, RFC 8725)."""

import logging
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple, Self
from uuid import UUID

from accounts.conf import auth_settings
from accounts.errors import InvalidRequest, RecentAuthenticationRequired, TokenExpired, TokenInvalid
from accounts.keys.key_ring import decryption_keys, encryption_key, key_ring
from accounts.keys.signing_keys import SigningKey
from accounts.models import FIRST_PARTY, RefreshToken
from accounts.tokens import claims as claims_module
from accounts.tokens import encrypted_tokens, verified_tokens
from accounts.tokens.claims import JWT_TYP, AccessClaims
from accounts.tokens.signing import sign
from accounts.values.authentication import SEVERAL_FACTORS, Authentication

logger = logging.getLogger("accounts.access_tokens")

MIN_LIFETIME = timedelta(seconds=1)
"""The times in a token are whole seconds, so that a token for less would have expired when it is issued."""

Audience = str | tuple[str, ...] | None
"""The services that a token is for. None means every service of AUTH_AUDIENCE."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed access token, its remaining lifetime `expires_in` in seconds, and its claims.

    `remember` is its session's: whether the browser keeps the token after it is closed.
    """

    text: str
    expires_in: int
    claims: Mapping[str, Any]
    remember: bool

    def __repr__(self) -> str:
        return f"AccessToken(expires_in={self.expires_in})"


class Grant(NamedTuple):
    """The facts about a session and its owner from which the claims of an access token are built.

    `extra` are claims that the project adds, whose names and size were checked. `client_id` is that of an
    application, or None.
    """

    session_id: UUID
    owner_id: int
    token_version: int
    roles: tuple[str, ...]
    authenticated_at: datetime
    authentication: Authentication
    expires_at: datetime
    remember: bool
    profile: Mapping[str, str | bool]
    extra: Mapping[str, Any] = MappingProxyType({})
    client_id: str | None = None
    scope: str = ""

    @classmethod
    def from_session(cls, session: RefreshToken, roles: tuple[str, ...], extra: Mapping[str, Any]) -> Self:
        """Build the grant of a session that was fetched with its owner."""
        return cls(
            session_id=session.uuid,
            owner_id=session.owner_id,
            token_version=session.owner.token_version,
            roles=roles,
            authenticated_at=session.authenticated_at,
            authentication=session.authentication,
            expires_at=session.expires_at,
            remember=session.remember,
            profile=build_profile({name: getattr(session.owner, name) for name in profile_columns()}),
            extra=extra,
            client_id=session.application_id,
            scope=session.scope,
        )


def profile_columns() -> tuple[str, ...]:
    """Return the columns of the user from which `build_profile` builds the claims of AUTH_PROFILE_CLAIMS."""
    names: tuple[str, ...] = auth_settings().profile_claims
    return (*names, "email_verified_at") if "email" in names else names


def build_profile(columns: Mapping[str, Any]) -> dict[str, str | bool]:
    """Return the profile claims. With `email` comes `email_verified` (OpenID Connect Core section 5.1).

    Without `email_verified`, another service could not tell whose address it is.
    """
    claims = dict(columns)
    if "email_verified_at" in claims:
        claims["email_verified"] = claims.pop("email_verified_at") is not None
    return claims


def issue(grant: Grant, *, at: datetime, audience: Audience = None) -> AccessToken:
    """Return an access token for a session: signed, and encrypted if AUTH_TOKEN_ENCRYPTION is on.

    The token never outlives the session.

    The token is for the services `audience`, or for every service of AUTH_AUDIENCE if it is None.

    Raises TokenExpired if the session expires in less than MIN_LIFETIME.
    """
    if grant.expires_at - at < MIN_LIFETIME:
        raise TokenExpired
    claims = _build_claims(grant, at, audience)
    access = AccessToken(encode(claims), claims["exp"] - claims["iat"], claims, grant.remember)
    return shorten(access, claims_module.MAX_TOKEN_LENGTH)


def shorten(access: AccessToken, max_length: int) -> AccessToken:
    """Return the token, or if it has more than `max_length` characters, one without optional claims or roles.

    Optional are the claims that verifiers do not require. Roles are omitted only if omitting those is not enough.
    Such a token has the claim `roles_omitted`: this service then reads the roles from the database, and others
    grant none.
    """
    if len(access.text) <= max_length:
        return access
    added: tuple[str, ...] = auth_settings().extra_claims  # last, because services may refuse by them
    kept = (
        claims_module.REQUIRED_CLAIMS
        | claims_module.AUTHENTICATION_CLAIMS
        | {claims_module.ROLES_OMITTED, claims_module.SCOPE, *added}
    )
    optional = tuple(name for name in access.claims if name not in kept)
    omitted: tuple[str, ...] = ()
    shorter = access
    for omitted in (optional, ("roles",), (*optional, "roles"), (*optional, "roles", *added)):
        claims = _omit(access.claims, omitted)
        shorter = replace(access, text=encode(claims), claims=claims)
        if len(shorter.text) <= max_length:
            break
    logger.warning(
        "The access token of user %s has more than %s characters. Omitted claims: %s.",
        access.claims["sub"], max_length, ", ".join(omitted),
    )  # fmt: skip
    return shorter


def _omit(claims: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    remaining = {name: value for name, value in claims.items() if name not in names}
    return remaining | {"roles": [], claims_module.ROLES_OMITTED: True} if "roles" in names else remaining


def encode(claims: Mapping[str, Any]) -> str:
    """Return the claims as an access token: signed, and encrypted if AUTH_TOKEN_ENCRYPTION is on."""
    text = sign(claims, JWT_TYP)
    return encrypted_tokens.encrypt(text, encryption_key()) if auth_settings().token_encryption else text


def _build_claims(grant: Grant, at: datetime, audience: Audience) -> dict[str, Any]:
    settings = auth_settings()
    issued_at = int(at.timestamp())
    expires_at = min(at + settings.access_token_lifetime, grant.expires_at)
    return {
        **grant.extra,  # first, so that no claim below can be replaced
        "iss": settings.issuer,
        "aud": aud_claim(audience),
        "sub": str(grant.owner_id),
        "client_id": grant.client_id or FIRST_PARTY,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": int(expires_at.timestamp()),
        "jti": secrets.token_urlsafe(16),
        "sid": str(grant.session_id),
        "ver": grant.token_version,
        "roles": list(roles_at(grant.authentication.level, grant.roles)),
        # Not later than now: the sign-in may have been timed by a clock that was ahead, and verification refuses
        # an `auth_time` in the future.
        "auth_time": int(min(grant.authenticated_at, at).timestamp()),
        claims_module.LEVEL: str(grant.authentication.level),
        claims_module.METHODS: list(grant.authentication.methods),
        **grant.profile,
        **({claims_module.SCOPE: grant.scope} if grant.scope else {}),
    }


def roles_at(level: int, roles: Collection[str]) -> tuple[str, ...]:
    """Return those of a user's roles that a token at this level contains.

    The roles of AUTH_SECOND_FACTOR_ROLES need a second factor, so that no service can be deceived by a token that
    was issued without one.
    """
    if level >= SEVERAL_FACTORS:
        return tuple(roles)
    return tuple(role for role in roles if role not in auth_settings().second_factor_roles)


def issuer() -> str:
    """Return the `iss` claim of access tokens."""
    name: str = auth_settings().issuer
    return name


def verify(token: str, *, at: datetime) -> AccessClaims:
    """Verify an access token for this service, and return its claims. The state of its session is not checked.

    Raises TokenExpired if the token is valid except that it has expired, and TokenInvalid otherwise.
    """
    return verify_for(auth_settings().audience[0], token, at=at)


def verify_for(audience: str, token: str, *, at: datetime) -> AccessClaims:
    """Verify an access token as the service named `audience` would, and return its claims.

    Raises TokenExpired or TokenInvalid, as `verify` does.
    """
    keys, own_issuer = key_ring().verifying, issuer()
    cached = verified_tokens.get(token, own_issuer, audience, keys, decryption_keys)
    # If the clock was set back after the token was verified, its `nbf` may be in the future: verify it again.
    if cached is not None and cached.issued_at <= at.timestamp():
        if cached.expires_at <= at.timestamp():
            raise TokenExpired
        return cached
    signed, decryption_key = decrypt(token)
    verified = claims_module.verify(signed, find_key=keys.get, issuer=own_issuer, audience=audience, at=at)
    verified_tokens.add(token, own_issuer, audience, verified, keys[verified.key_id], decryption_key)
    return verified


def verify_for_any(token: str, *, at: datetime) -> AccessClaims:
    """Verify an access token as any service of AUTH_AUDIENCE would, and return its claims.

    Raises TokenExpired or TokenInvalid, as `verify` does.
    """
    first, *others = auth_settings().audience
    for name in others:
        try:
            return verify_for(name, token, at=at)
        except TokenInvalid:
            continue
    return verify_for(first, token, at=at)


def decrypt(token: str) -> tuple[str, SigningKey | None]:
    """Return the signed token in an encrypted one, and the key; or a signed token as it is, and None.

    Both are accepted whatever AUTH_TOKEN_ENCRYPTION says, so that it can be switched while tokens are in use. The
    signature decides in both cases.

    Raises TokenInvalid.
    """
    if not encrypted_tokens.is_encrypted(token):
        return token, None
    key = encrypted_tokens.select_key(token, decryption_keys())
    return encrypted_tokens.decrypt(token, key), key


def require_recent_authentication(claims: AccessClaims, *, at: datetime) -> None:
    """Raise RecentAuthenticationRequired if the user last entered the password longer ago than the settings allow.

    The maximum age is AUTH_RECENT_AUTHENTICATION. Sensitive actions call this (step-up, RFC 9470).
    """
    if not is_recent(claims, at=at):
        raise step_up_error()


def step_up_error() -> RecentAuthenticationRequired:
    """Return the error that asks for a step-up, with AUTH_RECENT_AUTHENTICATION as the maximum age."""
    max_age: timedelta = auth_settings().recent_authentication
    return RecentAuthenticationRequired(int(max_age.total_seconds()))


def is_recent(claims: AccessClaims, *, at: datetime) -> bool:
    """Return whether the user entered the password at most AUTH_RECENT_AUTHENTICATION ago."""
    max_age: timedelta = auth_settings().recent_authentication
    return at.timestamp() - claims.auth_time <= max_age.total_seconds()


def validate_audience(audience: Audience) -> None:
    """Raise InvalidRequest if `audience` is neither None nor of services listed in AUTH_AUDIENCE."""
    known: tuple[str, ...] = auth_settings().audience
    if not set(_names(audience)) <= set(known):
        raise InvalidRequest(errors={"audience": [f"Unknown audience. Allowed: {', '.join(known)}."]})


def aud_claim(audience: Audience) -> str | list[str]:
    """Return the `aud` claim: a string for one audience, a list for several (RFC 7519 section 4.1.3)."""
    names = _names(audience)
    return names[0] if len(names) == 1 else list(names)


def _names(audience: Audience) -> tuple[str, ...]:
    if audience is None:
        known: tuple[str, ...] = auth_settings().audience
        return known
    return (audience,) if isinstance(audience, str) else audience
