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
_MAX_TOKEN_LENGTH = 16384  # characters; beyond what is issued
_MAX_HEADER_LENGTH = 512  # characters; below what recursion in a JSON parser takes
_MAX_TIMESTAMP = 253402300799  # the last second that a calendar of four-digit years has
_COMPACT_JWS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
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
    token: str,
    *,
    find_key: Callable[[str], VerifyingKey | None],
    issuer: str,
    audience: str,
    at: datetime,
) -> AccessClaims:
    """Check an access token by itself, not its session's state; `find_key` finds a key by its `kid`.

    Raises TokenExpired for a token that is right in all but its `exp`, else TokenInvalid.
    """
    key = _select_key(token, find_key)
    try:
        claims = jwt.decode(
            token,
            key.public_key,
            algorithms=[key.algorithm],
            audience=audience,
            issuer=issuer,
            # Times are checked below, by the clock that `at` was read from.
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
        _parse_segment(token.split(".")[1])
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise TokenInvalid from None
    return _validate_claims(claims, key.kid, at)


def _select_key(token: str, find_key: Callable[[str], VerifyingKey | None]) -> VerifyingKey:
    """Find the key that the header names; the header must be the one that the issuer writes with it."""
    segments = _COMPACT_JWS.fullmatch(token) if len(token) <= _MAX_TOKEN_LENGTH else None
    if segments is None or len(segments[1]) > _MAX_HEADER_LENGTH or not _is_canonical(segments[3]):
        raise TokenInvalid
    try:
        header = _parse_segment(segments[1])
    except (ValueError, RecursionError):
        raise TokenInvalid from None
    kid = header.get("kid") if isinstance(header, dict) else None
    key = find_key(kid) if isinstance(kid, str) else None
    if key is None or header != {"typ": JWT_TYP, "alg": key.algorithm, "kid": key.kid}:
        raise TokenInvalid
    return key


def _parse_segment(segment: str) -> Any:
    """Read JSON in the one way that every verifier reads it (RFC 7515 section 4, RFC 8259 section 8.1).

    Raises ValueError or RecursionError for what is no UTF-8, is no JSON, or has a name twice.
    """
    return strict_json.loads(_decode_segment(segment).decode())


def _is_canonical(segment: str) -> bool:
    """Tell whether it is the one spelling of its bytes.

    Header and payload are signed as spelled; the last character of a signature holds bits of no meaning.
    """
    try:
        return urlsafe_b64encode(_decode_segment(segment)).rstrip(b"=").decode() == segment
    except ValueError:
        return False


def _decode_segment(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _validate_claims(claims: dict[str, Any], key_id: str, at: datetime) -> AccessClaims:
    if any(type(claims.get(name)) not in allowed for name, allowed in _CLAIM_TYPES.items()):
        raise TokenInvalid
    _validate_times(claims, at)
    parsed = AccessClaims(
        user_id=_parse_user_id(claims["sub"]),
        session_id=_parse_session_id(claims["sid"]),
        token_version=claims["ver"],
        roles=_parse_strings(claims["roles"]),
        auth_time=claims["auth_time"],
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        token_id=claims["jti"],
        audience=_parse_audience(claims["aud"]),
        key_id=key_id,
    )
    if claims["exp"] <= at.timestamp():
        raise TokenExpired
    return parsed


def _validate_times(claims: dict[str, Any], at: datetime) -> None:
    latest_start = at + timedelta(seconds=_CLOCK_SKEW)
    if max(claims["nbf"], claims["iat"], claims["auth_time"]) > latest_start.timestamp():
        raise TokenInvalid
    if not all(0 <= claims[name] <= _MAX_TIMESTAMP for name in ("iat", "nbf", "exp", "auth_time")):
        raise TokenInvalid


def _parse_audience(aud: str | list[Any]) -> tuple[str, ...]:
    if isinstance(aud, str):
        return (aud,)
    if len(aud) == 1:
        raise TokenInvalid  # One is spelled as a text.
    return _parse_strings(aud)


def _parse_strings(values: list[Any]) -> tuple[str, ...]:
    if not all(type(value) is str for value in values):
        raise TokenInvalid
    return tuple(values)


def _parse_user_id(sub: str) -> int:
    if re.fullmatch(r"[1-9][0-9]{0,18}", sub, re.ASCII) is None:
        raise TokenInvalid
    return int(sub)


def _parse_session_id(sid: str) -> UUID:
    try:
        session_id = UUID(sid)
    except ValueError:
        raise TokenInvalid from None
    if str(session_id) != sid:
        raise TokenInvalid
    return session_id
