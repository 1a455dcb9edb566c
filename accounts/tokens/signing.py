"""Sign the tokens that this service issues, and verify those that come back (RFC 7515)."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jwt
from jwt.algorithms import get_default_algorithms

from accounts.conf import auth_settings
from accounts.errors import TokenInvalid
from accounts.keys.key_ring import key_ring
from accounts.tokens import claims as claims_module
from accounts.values import base64url

SYMMETRIC_ALGORITHM = "HS256"
"""Its key also signs, so that no other program can verify a token, and single sign-on is off."""

_ALGORITHMS = get_default_algorithms()
_encode_json = json.JSONEncoder(separators=(",", ":")).encode


def sign(claims: Mapping[str, Any], typ: str) -> str:
    """Return the claims as a signed JWT in compact form (RFC 7515 section 3.1). Times are in seconds.

    `typ` in its header names the kind of token (RFC 8725 section 3.11).

    Raises ImproperlyConfigured if the keys cannot be used and this process has none yet.
    """
    key = key_ring().signing
    header = _header_segment(key.algorithm, key.kid, typ)
    signing_input = f"{header}.{base64url.encode(_encode_json(dict(claims)).encode())}"
    signature = _ALGORITHMS[key.algorithm].sign(signing_input.encode(), key.private_key)
    return f"{signing_input}.{base64url.encode(signature)}"


# jwt.encode() builds and validates the header, and checks the key, for each token: 3 % of the instructions of a
# refresh. The key was checked when it was loaded, and a header depends on nothing but what is passed here.
@lru_cache(maxsize=64)
def _header_segment(alg: str, kid: str, typ: str) -> str:
    return base64url.encode(_encode_json({"alg": alg, "kid": kid, "typ": typ}).encode())


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
