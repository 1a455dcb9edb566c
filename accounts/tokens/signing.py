"""Sign the tokens that this service issues, and verify those that come back (RFC 7515)."""

from collections.abc import Mapping
from typing import Any

import jwt

from accounts.conf import auth_settings
from accounts.errors import TokenInvalid
from accounts.keys.key_ring import key_ring
from accounts.tokens import claims as claims_module

SYMMETRIC_ALGORITHM = "HS256"
"""Its key also signs, so that no other program can verify a token, and single sign-on is off."""


def sign(claims: Mapping[str, Any], typ: str) -> str:
    """Return the claims as a signed JWT. `typ` in its header names the kind of token (RFC 8725 section 3.11).

    Raises ImproperlyConfigured if the keys cannot be used and this process has none yet.
    """
    key = key_ring().signing
    headers = {"typ": typ, "kid": key.kid}
    return jwt.encode(dict(claims), key.private_key, algorithm=key.algorithm, headers=headers)


def algorithm() -> str:
    """Return the algorithm of the key that signs now."""
    return key_ring().signing.algorithm


def read(token: str, typ: str) -> dict[str, Any]:
    """Return the claims of a token of this type that this service signed, even an expired one.

    The caller checks the audience and what else it relies on.

    Raises TokenInvalid.
    """
    key = claims_module.select_key(token, typ, key_ring().verifying.get)
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public_key,
            algorithms=[key.algorithm],
            issuer=auth_settings().issuer,
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False},
        )
        claims_module.require_strict_payload(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise TokenInvalid from None
    return claims
