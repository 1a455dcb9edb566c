"""Access tokens: issue one, verify one (RFC 7519, RFC 9068, RFC 8725).

With `keys`, the only place that the JWT library is used in.
"""

import json
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt

from accounts.conf import auth_settings
from accounts.errors import RecentAuthenticationRequired, TokenExpired, TokenInvalid
from accounts.key_ring import KeyRing, key_ring
from accounts.keys import SigningKey
from accounts.models import RefreshToken

TYPE = "at+jwt"

_CLOCK_SKEW = 5  # seconds, for machines whose clocks differ; `exp` gets none of it
_LONGEST = 16384  # characters; beyond what is issued
_LONGEST_HEADER = 512  # characters; below what recursion in a JSON parser takes
_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)", re.ASCII)
_CLAIM_TYPES: dict[str, type] = {
    "iss": str,
    "aud": str,
    "sub": str,
    "iat": int,
    "nbf": int,
    "exp": int,
    "jti": str,
    "sid": str,
    "ver": int,
    "roles": list,
    "auth_time": int,
}


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified access token says."""

    user_id: int
    session_id: UUID
    token_version: int
    roles: tuple[str, ...]
    auth_time: int
    issued_at: int
    expires_at: int
    token_id: str


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token, and for how many seconds it is good."""

    text: str
    expires_in: int

    def __repr__(self) -> str:
        return f"AccessToken(expires_in={self.expires_in})"


def issue(session: RefreshToken, roles: tuple[str, ...], *, at: datetime) -> AccessToken:
    """Sign a token for the owner of a session; it never outlives the session."""
    settings = auth_settings()
    key = key_ring().signing
    issued_at = int(at.timestamp())
    expires_at = int(min(at + settings.access_token_lifetime, session.expires_at).timestamp())
    claims = {
        "iss": settings.issuer,
        "aud": settings.audience,
        "sub": str(session.owner_id),
        "iat": issued_at,
        "nbf": issued_at,
        "exp": expires_at,
        "jti": secrets.token_urlsafe(16),
        "sid": str(session.uuid),
        "ver": session.owner.token_version,
        "roles": list(roles),
        "auth_time": int(session.authenticated_at.timestamp()),
        **{name: getattr(session.owner, name) for name in settings.profile_claims},
    }
    headers = {"typ": TYPE, "kid": key.kid}
    text = jwt.encode(claims, key.private_key, algorithm=key.algorithm, headers=headers)
    return AccessToken(text, expires_at - issued_at)


def verify(text: str, *, at: datetime) -> AccessClaims:
    """Check an access token by itself: spelling, header, signature, claims and time, not its session's state.

    Raises TokenExpired for a token that is right in all but its `exp`, else TokenInvalid.
    """
    key = _key_that_signed(text, key_ring())
    settings = auth_settings()
    try:
        claims = jwt.decode(
            text,
            key.public_key,
            algorithms=[key.algorithm],
            audience=settings.audience,
            issuer=settings.issuer,
            # Times are checked below, by the clock that `at` was read from.
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except (jwt.PyJWTError, ValueError):
        raise TokenInvalid from None
    return _checked(claims, at)


def require_recent(claims: AccessClaims, *, at: datetime) -> None:
    """Refuse a token whose user was asked for the password too long ago for what is sensitive.

    Raises RecentAuthenticationRequired.
    """
    max_age: timedelta = auth_settings().recent_authentication
    if at.timestamp() - claims.auth_time > max_age.total_seconds():
        raise RecentAuthenticationRequired(int(max_age.total_seconds()))


def _key_that_signed(text: str, ring: KeyRing) -> SigningKey:
    """Find the key that the header names; the header must be the one that this service writes with it."""
    shape = _SHAPE.fullmatch(text) if len(text) <= _LONGEST else None
    if shape is None or len(shape[1]) > _LONGEST_HEADER or not _is_canonical(shape[2]):
        raise TokenInvalid
    try:
        header = json.loads(_decoded(shape[1]))
    except ValueError:
        raise TokenInvalid from None
    kid = header.get("kid") if isinstance(header, dict) else None
    key = ring.verifying.get(kid) if isinstance(kid, str) else None
    if key is None or header != {"typ": TYPE, "alg": key.algorithm, "kid": key.kid}:
        raise TokenInvalid
    return key


def _is_canonical(segment: str) -> bool:
    """Tell whether it is the one spelling of its bytes.

    Header and payload are signed as spelled; the last character of a signature holds bits of no meaning.
    """
    try:
        return urlsafe_b64encode(_decoded(segment)).rstrip(b"=").decode() == segment
    except ValueError:
        return False


def _decoded(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _checked(claims: dict[str, Any], at: datetime) -> AccessClaims:
    if any(type(claims.get(name)) is not expected for name, expected in _CLAIM_TYPES.items()):
        raise TokenInvalid
    latest_start = at + timedelta(seconds=_CLOCK_SKEW)
    if max(claims["nbf"], claims["iat"]) > latest_start.timestamp():
        raise TokenInvalid
    if not all(type(role) is str for role in claims["roles"]):
        raise TokenInvalid
    parsed = AccessClaims(
        user_id=_user_id(claims["sub"]),
        session_id=_session_id(claims["sid"]),
        token_version=claims["ver"],
        roles=tuple(claims["roles"]),
        auth_time=claims["auth_time"],
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        token_id=claims["jti"],
    )
    if claims["exp"] <= at.timestamp():
        raise TokenExpired
    return parsed


def _user_id(text: str) -> int:
    if re.fullmatch(r"[1-9][0-9]{0,18}", text, re.ASCII) is None:
        raise TokenInvalid
    return int(text)


def _session_id(text: str) -> UUID:
    try:
        session_id = UUID(text)
    except ValueError:
        raise TokenInvalid from None
    if str(session_id) != text:
        raise TokenInvalid
    return session_id
