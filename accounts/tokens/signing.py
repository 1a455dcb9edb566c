"""Sign the tokens that this service issues with the key that signs now (RFC 7515)."""

from collections.abc import Mapping
from typing import Any

import jwt

from accounts.keys.key_ring import key_ring


def sign(claims: Mapping[str, Any], typ: str) -> str:
    """Return the claims as a signed JWT. `typ` in its header names the kind of token (RFC 8725 section 3.11).

    Raises ImproperlyConfigured if the keys cannot be used and this process has none yet.
    """
    key = key_ring().signing
    headers = {"typ": typ, "kid": key.kid}
    return jwt.encode(dict(claims), key.private_key, algorithm=key.algorithm, headers=headers)
