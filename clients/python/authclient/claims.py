"""Verify the encoding, header, signature, claims and times of an access token, given the issuer's keys.

The rules are those of RFC 7519, RFC 8725 and RFC 9068, and equal to those that the token service applies itself.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import jwt

from authclient import base64url, strict_json
from authclient.issuer_keys import PublishedKey
from authclient.refusals import TokenExpired, TokenInvalid

TYP = "at+jwt"
MAX_TOKEN_LENGTH = 16384
"""Characters; longer than any token that is issued."""

LEVELS = ("1", "2")
"""The values of `acr`. A token without the claim has the first one."""

_CLOCK_SKEW = 5  # seconds of tolerance for `nbf`, `iat` and `auth_time` between machines; `exp` has none
_MAX_HEADER_LENGTH = 512  # characters; too short to exhaust the recursion limit of the JSON parser
_MAX_TIMESTAMP = 253402300799  # 9999-12-31 23:59:59 UTC
_MAX_INTEGER = 2**63 - 1  # the largest id and version that the issuer's database can store
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
_SERVICE_CLAIM_TYPES = {
    name: types for name, types in _CLAIM_TYPES.items() if name not in {"sid", "ver", "auth_time"}
}


def verify(
    token: str, *, find_key: Callable[[str], PublishedKey | None], issuer: str, audience: str, at: float
) -> dict[str, Any]:
    """Verify an access token at a time in seconds since 1970; return its claims.

    `find_key` returns the key with a given `kid`, or None.

    Raises TokenExpired if the token is valid except that it has expired, and TokenInvalid otherwise.
    """
    claims = decode(token, typ=TYP, find_key=find_key, issuer=issuer, audience=audience)
    _validate_claims(claims)
    _validate_times(claims, ("nbf", "iat", "auth_time"), at)
    return claims


def verify_service(
    token: str, *, find_key: Callable[[str], PublishedKey | None], issuer: str, audience: str, at: float
) -> dict[str, Any]:
    """Verify the access token of a service itself as `verify` does that of a user; return its claims.

    Its claims are exactly those of a service. A user's token has more, so that neither is accepted as the other.

    Raises TokenExpired and TokenInvalid.
    """
    claims = decode(token, typ=TYP, find_key=find_key, issuer=issuer, audience=audience)
    if claims.keys() != _SERVICE_CLAIM_TYPES.keys() or not _has_types(claims, _SERVICE_CLAIM_TYPES):
        raise TokenInvalid
    # A subject of digits alone could be taken for a user (RFC 9700 section 4.15).
    is_service = claims["sub"] == claims["client_id"] and re.fullmatch(r"[0-9]*", claims["sub"], re.ASCII) is None
    if not (is_service and _are_strings(claims["roles"]) and _is_audience(claims["aud"])):
        raise TokenInvalid
    _validate_times(claims, ("nbf", "iat"), at)
    return claims


def decode(
    token: str, *, typ: str, find_key: Callable[[str], PublishedKey | None], issuer: str, audience: str
) -> dict[str, Any]:
    """Verify the encoding, header, signature, issuer and audience of a token of the kind `typ`; return its claims.

    Raises TokenInvalid.
    """
    key = _select_key(token, find_key, typ)
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public_key,
            algorithms=[key.algorithm],
            audience=audience,
            issuer=issuer,
            # PyJWT would use its own clock. The callers check the times.
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
        # PyJWT accepts repeated names in the payload. Parsing it again strictly refuses them.
        _parse_segment(token.split(".")[1])
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise TokenInvalid from None
    return claims


def _select_key(token: str, find_key: Callable[[str], PublishedKey | None], typ: str) -> PublishedKey:
    """Return the key named in the header.

    Raises TokenInvalid unless the header is exactly the one that the issuer writes with that key.
    """
    segments = _COMPACT_JWS.fullmatch(token) if len(token) <= MAX_TOKEN_LENGTH else None
    # Header and payload are signed in their encoded form. Only the signature could be encoded in several ways.
    if segments is None or len(segments[1]) > _MAX_HEADER_LENGTH or not base64url.is_canonical(segments[3]):
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


def _parse_segment(segment: str) -> Any:
    """Parse the JSON of a segment strictly, so that all verifiers read the same value.

    Raises ValueError if the segment is not UTF-8, not JSON, or repeats a name, and RecursionError if it is nested
    too deeply.
    """
    return strict_json.loads(base64url.decode(segment).decode())


def _validate_claims(claims: dict[str, Any]) -> None:
    is_valid = (
        _has_types(claims, _CLAIM_TYPES)
        and _is_user_id(claims["sub"])
        and _is_session_id(claims["sid"])
        and 0 <= claims["ver"] <= _MAX_INTEGER
        and _are_strings(claims["roles"])
        and _is_audience(claims["aud"])
        and _states_omitted_roles_correctly(claims)
        and _states_authentication_correctly(claims)
    )
    if not is_valid:
        raise TokenInvalid


def _has_types(claims: dict[str, Any], types: Mapping[str, tuple[type, ...]]) -> bool:
    return all(type(claims.get(name)) in allowed for name, allowed in types.items())


def _validate_times(claims: dict[str, Any], starts: Sequence[str], at: float) -> None:
    if max(claims[name] for name in starts) > at + _CLOCK_SKEW:
        raise TokenInvalid
    if not all(0 <= claims[name] <= _MAX_TIMESTAMP for name in (*starts, "exp")):
        raise TokenInvalid
    if claims["exp"] <= at:
        raise TokenExpired


def _is_audience(aud: str | list[Any]) -> bool:
    """Return whether `aud` is a string, or a list of several: the issuer writes a single audience as a string."""
    return isinstance(aud, str) or (len(aud) > 1 and _are_strings(aud))


def _states_omitted_roles_correctly(claims: dict[str, Any]) -> bool:
    """Return whether `roles_omitted` is absent, or true and without roles: the issuer writes no other value."""
    return "roles_omitted" not in claims or (claims["roles_omitted"] is True and not claims["roles"])


def _states_authentication_correctly(claims: dict[str, Any]) -> bool:
    """Return whether `acr` and `amr` are as issued, or absent, as in tokens of earlier releases of the issuer."""
    methods = claims.get("amr", [])
    return claims.get("acr", LEVELS[0]) in LEVELS and type(methods) is list and _are_strings(methods)


def _are_strings(values: list[Any]) -> bool:
    return all(type(value) is str for value in values)


def _is_user_id(sub: str) -> bool:
    return re.fullmatch(r"[1-9][0-9]{0,18}", sub, re.ASCII) is not None and int(sub) <= _MAX_INTEGER


def _is_session_id(sid: str) -> bool:
    try:
        session_id = UUID(sid)
    except ValueError:
        return False
    return str(session_id) == sid and session_id.int != 0
