"""Verify an access token: its encoding, header, signature, claims and times.

These are the rules of RFC 7519, RFC 8725 and RFC 9068 that every verifier of this service's tokens must apply.
This module uses neither the database nor this service's settings, so that
other services can verify with the same code.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import jwt

from accounts.errors import TokenExpired, TokenInvalid
from accounts.tokens import strict_json

JWT_TYP = "at+jwt"

MAX_TOKEN_LENGTH = 16384
"""Characters. No longer token is issued."""

ROLES_OMITTED = "roles_omitted"
"""The claim of a token whose `roles` are empty because they did not fit."""

LEVEL = "acr"
METHODS = "amr"
AUTHENTICATION_CLAIMS = frozenset({LEVEL, METHODS})
"""How the user authenticated (RFC 9068 section 2.2.1). Tokens of releases without second factors lack them."""

SCOPE = "scope"
"""The claim of tokens that were issued to an application (RFC 9068 section 2.2.3)."""

_OPTIONAL_CLAIM_TYPES = {LEVEL: str, METHODS: list, SCOPE: str}
_LEVELS = {"1": 1, "2": 2}
_CLOCK_SKEW = 5  # seconds of tolerance for `nbf`, `iat` and `auth_time` between machines; `exp` has none
_MAX_HEADER_LENGTH = 512  # characters; too short to exhaust the recursion limit of the JSON parser
_MAX_TIMESTAMP = 253402300799  # 9999-12-31 23:59:59 UTC, the last second that datetime supports
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
REQUIRED_CLAIMS = frozenset(_CLAIM_TYPES)


class VerifyingKey(Protocol):
    """A verification key that is bound to one algorithm (RFC 8725 section 3.1)."""

    @property
    def kid(self) -> str:
        """The key id, as in the header of a token."""

    @property
    def algorithm(self) -> str:
        """The only algorithm that the key may be used with."""

    @property
    def public_key(self) -> Any:
        """The key in the form that PyJWT expects."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """The claims of a verified access token. Times are in seconds since the epoch.

    `roles_omitted` says that the token has no room for the user's roles, so that `roles` is empty. `level` (`acr`)
    is 2 if the user presented a second factor, and `methods` (`amr`) are those of RFC 8176. `client_id` is that of
    the application, which has the rights of `scope`.
    """

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
    roles_omitted: bool = False
    level: int = 1
    methods: tuple[str, ...] = ()
    client_id: str = ""
    scope: str = ""


def verify(
    token: str,
    *,
    find_key: Callable[[str], VerifyingKey | None],
    issuer: str,
    audience: str,
    at: datetime,
) -> AccessClaims:
    """Verify an access token and return its claims. The state of its session is not checked.

    `find_key` returns the key with a given `kid`, or None.

    Raises TokenExpired if the token is valid except that it has expired, and TokenInvalid otherwise.
    """
    return _validate_claims(*decode(token, find_key=find_key, issuer=issuer, audience=audience), at)


def decode(
    token: str, *, find_key: Callable[[str], VerifyingKey | None], issuer: str, audience: str
) -> tuple[dict[str, Any], str]:
    """Verify the signature, issuer and audience of an access token, and return its claims and the id of its key.

    Neither the types of the claims nor their times are checked.

    Raises TokenInvalid.
    """
    key = select_key(token, JWT_TYP, find_key)
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public_key,
            algorithms=[key.algorithm],
            audience=audience,
            issuer=issuer,
            # PyJWT would use its own clock. `_validate_times` checks the times against `at`.
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
        require_strict_payload(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise TokenInvalid from None
    return claims, key.kid


def select_key(token: str, typ: str, find_key: Callable[[str], VerifyingKey | None]) -> VerifyingKey:
    """Return the key named in the header.

    Raises TokenInvalid unless the header is exactly the one that the issuer writes with that key for tokens of
    this type.
    """
    segments = _COMPACT_JWS.fullmatch(token) if len(token) <= MAX_TOKEN_LENGTH else None
    if segments is None or len(segments[1]) > _MAX_HEADER_LENGTH or not _is_canonical(segments[3]):
        raise TokenInvalid
    try:
        header = _parse_segment(segments[1])
    except (ValueError, RecursionError):
        raise TokenInvalid from None
    kid = header.get("kid") if isinstance(header, dict) else None
    key = find_key(kid) if isinstance(kid, str) else None
    if key is None or header != {"typ": typ, "alg": key.algorithm, "kid": key.kid}:
        raise TokenInvalid
    return key


def require_strict_payload(token: str) -> None:
    """Check that the payload repeats no name. PyJWT accepts repeated ones.

    Raises ValueError or RecursionError.
    """
    _parse_segment(token.split(".")[1])


def _parse_segment(segment: str) -> Any:
    """Parse the JSON of a segment strictly, so that all verifiers read the same value.

    The rules are those of RFC 7515 section 4 and RFC 8259 section 8.1.

    Raises ValueError if the segment is not UTF-8, not JSON, or repeats a name, and RecursionError if it is nested
    too deeply.
    """
    return strict_json.loads(_decode_segment(segment).decode())


def _is_canonical(segment: str) -> bool:
    """Return whether a segment is the canonical base64url encoding of its bytes.

    Only the signature needs this check. Header and payload are signed in their encoded form, but the last
    character of the signature has unused bits, so that several strings decode to the same signature.
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
    if any(type(claims.get(name, kind())) is not kind for name, kind in _OPTIONAL_CLAIM_TYPES.items()):
        raise TokenInvalid
    _validate_times(claims, at)
    parsed = AccessClaims(
        user_id=_parse_user_id(claims["sub"]),
        session_id=_parse_session_id(claims["sid"]),
        token_version=claims["ver"],
        roles=parse_strings(claims["roles"]),
        auth_time=claims["auth_time"],
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        token_id=claims["jti"],
        audience=parse_audience(claims["aud"]),
        key_id=key_id,
        roles_omitted=_parse_roles_omitted(claims),
        level=_parse_level(claims.get(LEVEL, "1")),
        methods=parse_strings(claims.get(METHODS, [])),
        client_id=claims["client_id"],
        scope=claims.get(SCOPE, ""),
    )
    if claims["exp"] <= at.timestamp():
        raise TokenExpired
    return parsed


def _validate_times(claims: dict[str, Any], at: datetime) -> None:
    require_times(claims, ("iat", "nbf", "auth_time"), at)


def require_times(claims: dict[str, Any], starts: Sequence[str], at: datetime) -> None:
    """Check that the times in the claims named `starts` have come, and that they and `exp` are dates.

    Raises TokenInvalid.
    """
    latest_start = at + timedelta(seconds=_CLOCK_SKEW)
    if max(claims[name] for name in starts) > latest_start.timestamp():
        raise TokenInvalid
    if not all(0 <= claims[name] <= _MAX_TIMESTAMP for name in (*starts, "exp")):
        raise TokenInvalid


def parse_audience(aud: str | list[Any]) -> tuple[str, ...]:
    """Return the audiences of the claim `aud`.

    Raises TokenInvalid.
    """
    if isinstance(aud, str):
        return (aud,)
    if len(aud) == 1:
        raise TokenInvalid  # the issuer writes a single audience as a string
    return parse_strings(aud)


def parse_strings(values: list[Any]) -> tuple[str, ...]:
    """Return the values of a claim that is a list of strings.

    Raises TokenInvalid.
    """
    if not all(type(value) is str for value in values):
        raise TokenInvalid
    return tuple(values)


def _parse_roles_omitted(claims: dict[str, Any]) -> bool:
    if ROLES_OMITTED not in claims:
        return False
    # The issuer writes the claim only where it applies.
    if claims[ROLES_OMITTED] is not True or claims["roles"]:
        raise TokenInvalid
    return True


def _parse_level(acr: str) -> int:
    if acr not in _LEVELS:
        raise TokenInvalid
    return _LEVELS[acr]


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
