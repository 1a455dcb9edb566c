"""Verify the access token of a registered service itself, which names no user and no session (RFC 9068).

Its claims are exactly those below, and those of a user's token are more, so that neither is accepted as the other.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from accounts.errors import TokenExpired, TokenInvalid
from accounts.tokens import claims as claims_module
from accounts.tokens.claims import VerifyingKey

_CLAIM_TYPES: dict[str, tuple[type, ...]] = {
    "iss": (str,),
    "aud": (str, list),
    "sub": (str,),
    "client_id": (str,),
    "iat": (int,),
    "nbf": (int,),
    "exp": (int,),
    "jti": (str,),
    "roles": (list,),
}
_DIGITS = re.compile(r"[0-9]*", re.ASCII)


class ServiceClaims(NamedTuple):
    """The claims of a verified access token of a service. Times are in seconds since the epoch."""

    client_id: str
    roles: tuple[str, ...]
    audience: tuple[str, ...]
    issued_at: int
    expires_at: int
    token_id: str


def verify(
    token: str, *, find_key: Callable[[str], VerifyingKey | None], issuer: str, audience: str, at: datetime
) -> ServiceClaims:
    """Verify a signed access token of a service, and return its claims.

    `find_key` returns the key with a given `kid`, or None.

    Raises TokenExpired if the token is valid except that it has expired, and TokenInvalid otherwise.
    """
    claims, _ = claims_module.decode(token, find_key=find_key, issuer=issuer, audience=audience)
    has_all = claims.keys() == _CLAIM_TYPES.keys()
    if not has_all or any(type(claims[name]) not in allowed for name, allowed in _CLAIM_TYPES.items()):
        raise TokenInvalid
    # A subject of digits alone could be taken for a user (RFC 9700 section 4.15).
    if claims["sub"] != claims["client_id"] or _DIGITS.fullmatch(claims["sub"]):
        raise TokenInvalid
    claims_module.require_times(claims, ("iat", "nbf"), at)
    verified = _build(claims)
    if claims["exp"] <= at.timestamp():
        raise TokenExpired
    return verified


def _build(claims: dict[str, Any]) -> ServiceClaims:
    return ServiceClaims(
        client_id=claims["client_id"],
        roles=claims_module.parse_strings(claims["roles"]),
        audience=claims_module.parse_audience(claims["aud"]),
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        token_id=claims["jti"],
    )
