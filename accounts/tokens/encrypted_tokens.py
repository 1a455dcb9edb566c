"""Encrypt a signed access token, and decrypt it: a nested JWT (RFC 7516, RFC 7519 section 5.2).

The outer layer is always `dir` with A256GCM, under a key that this service shares with the services that verify
its tokens. It hides the claims; the signature inside proves who issued them. This module uses neither the database
nor this service's settings, so that other services can decrypt with the same code.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Protocol, TypeVar

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from accounts.errors import TokenInvalid
from accounts.tokens import strict_json
from accounts.tokens.claims import MAX_TOKEN_LENGTH

# A header of at most 512 characters, no encrypted key, 96 bits of initialization vector, and 128 bits of tag.
_COMPACT_JWE = re.compile(
    r"([A-Za-z0-9_-]{1,512})\.\.([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{22})", re.ASCII
)
_REGISTRY = jwe.JWERegistry(algorithms=["dir", "A256GCM"])


class EncryptionKey(Protocol):
    """A key for A256GCM: 256 bits."""

    @property
    def kid(self) -> str:
        """The key id, as in the header of a token."""

    @property
    def private_key(self) -> object:
        """The bytes of the key."""


Key = TypeVar("Key", bound=EncryptionKey)


def is_encrypted(token: str) -> bool:
    """Return whether a token has the form of an encrypted one: five segments."""
    return token.count(".") == 4  # noqa: PLR2004  RFC 7516 section 7.1


def encrypt(signed: str, key: EncryptionKey) -> str:
    """Return a signed token, encrypted."""
    return jwe.encrypt_compact(_header(key), signed, _oct_key(key), registry=_REGISTRY)


def select_key(token: str, keys: Mapping[str, Key]) -> Key:
    """Return the key named in the header.

    Raises TokenInvalid unless the form of the token and its header are exactly those that the issuer writes.
    """
    segments = _COMPACT_JWE.fullmatch(token) if len(token) <= MAX_TOKEN_LENGTH else None
    if segments is None:
        raise TokenInvalid
    try:
        header = strict_json.loads(urlsafe_b64decode(segments[1] + "=" * (-len(segments[1]) % 4)).decode())
    except (ValueError, RecursionError):
        raise TokenInvalid from None
    kid = header.get("kid") if isinstance(header, dict) else None
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None or header != _header(key):
        raise TokenInvalid
    return key


def decrypt(token: str, key: EncryptionKey) -> str:
    """Decrypt a token with the key that `select_key` returned, and return the signed token in it.

    The caller verifies the signed token, which must not be encrypted again.

    Raises TokenInvalid if the token was altered or encrypted with another key.
    """
    try:
        # The library refuses segments that are not the canonical base64url encoding of their bytes, and
        # authenticates the header in its encoded form. A token therefore has one spelling.
        return (jwe.decrypt_compact(token, _oct_key(key), registry=_REGISTRY).plaintext or b"").decode("ascii")
    except (JoseError, ValueError):
        raise TokenInvalid from None


def _header(key: EncryptionKey) -> dict[str, str]:
    return {"alg": "dir", "enc": "A256GCM", "cty": "JWT", "kid": key.kid}


def _oct_key(key: EncryptionKey) -> OctKey:
    assert isinstance(key.private_key, bytes)  # noqa: S101  checked when the key was loaded
    return OctKey.import_key(key.private_key)
