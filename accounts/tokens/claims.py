"""What an access token says, and what makes one good by itself: spelling, header, signature, claims and time.

These are the rules of RFC 7519, RFC 8725 and RFC 9068 that hold for whoever verifies our tokens. Nothing here
knows a database or this service's settings: other services verify by the same code.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import jwt

from accounts.errors import TokenExpired, TokenInvalid
from accounts.tokens import strict_json

JWT_TYP = "at+jwt"

_CLOCK_SKEW = 5  # seconds, for machines whose clocks differ; `exp` gets none of it
_LONGEST = 16384  # characters; beyond what is issued
_LONGEST_HEADER = 512  # characters; below what recursion in a JSON parser takes
_LATEST = 253402300799  # the last second that a calendar of four-digit years has
_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_CLAIM_TYPES: dict[str, tuple[type, ...]] = {
    "iss": (str,),
    "aud": (str, list),
    "sub": (str,),
    "client_id": (str,),
    "iat": (int,),
    "nbf": (int,),
    "exp": (int,),
    "jti": (str,),
    "sid": (str,),
    "ver": (int,),
    "roles": (list,),
    "auth_time": (int,),
}


class VerifyingKey(Protocol):
    """A key that verifies, bound to one algorithm (RFC 8725 section 3.1)."""

    @property
    def kid(self) -> str:
        """Its name."""

    @property
    def algorithm(self) -> str:
        """The algorithm, and the only one, that it is used with."""

    @property
    def public_key(self) -> Any:
        """What verifies."""


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
    audience: tuple[str, ...]
    key_id: str


def verify(
    text: str,
    *,
    find_key: Callable[[str], VerifyingKey | None],
    issuer: str,
    audience: str,
    at: datetime,
) -> AccessClaims:
    """Check an access token by itself, not its session's state; `find_key` finds a key by its `kid`.

    Raises TokenExpired for a token that is right in all but its `exp`, else TokenInvalid.
    """
    key = _key_that_signed(text, find_key)
    try:
        claims = jwt.decode(
            text,
            key.public_key,
            algorithms=[key.algorithm],
            audience=audience,
            issuer=issuer,
            # Times are checked below, by the clock that `at` was read from.
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
        _read(text.split(".")[1])
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise TokenInvalid from None
    return _checked(claims, key.kid, at)


def _key_that_signed(text: str, find_key: Callable[[str], VerifyingKey | None]) -> VerifyingKey:
    """Find the key that the header names; the header must be the one that the issuer writes with it."""
    shape = _SHAPE.fullmatch(text) if len(text) <= _LONGEST else None
    if shape is None or len(shape[1]) > _LONGEST_HEADER or not _is_canonical(shape[3]):
        raise TokenInvalid
    try:
        header = _read(shape[1])
    except (ValueError, RecursionError):
        raise TokenInvalid from None
    kid = header.get("kid") if isinstance(header, dict) else None
    key = find_key(kid) if isinstance(kid, str) else None
    if key is None or header != {"typ": JWT_TYP, "alg": key.algorithm, "kid": key.kid}:
        raise TokenInvalid
    return key


def _read(segment: str) -> Any:
    """Read JSON in the one way that every verifier reads it (RFC 7515 section 4, RFC 8259 section 8.1).

    Raises ValueError or RecursionError for what is no UTF-8, is no JSON, or has a name twice.
    """
    return strict_json.loads(_decoded(segment).decode())


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


def _checked(claims: dict[str, Any], key_id: str, at: datetime) -> AccessClaims:
    if any(type(claims.get(name)) not in allowed for name, allowed in _CLAIM_TYPES.items()):
        raise TokenInvalid
    latest_start = at + timedelta(seconds=_CLOCK_SKEW)
    if max(claims["nbf"], claims["iat"], claims["auth_time"]) > latest_start.timestamp():
        raise TokenInvalid
    if not all(0 <= claims[name] <= _LATEST for name in ("iat", "nbf", "exp", "auth_time")):
        raise TokenInvalid
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if isinstance(claims["aud"], list) and len(audience) == 1:
        raise TokenInvalid  # One is spelled as a text.
    if not all(type(name) is str for name in (*claims["roles"], *audience)):
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
        audience=tuple(audience),
        key_id=key_id,
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
