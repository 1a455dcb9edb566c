"""Encrypt the secrets of authenticator apps with AES-256-GCM, under a key derived from SECRET_KEY.

The key is derived with HKDF (RFC 5869). Keys of SECRET_KEY_FALLBACKS decrypt, so that SECRET_KEY can be replaced.
"""

import secrets
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_NONCE_LENGTH = 12
_KEY_LENGTH = 32


class DecryptionFailed(Exception):
    """A secret was encrypted under a key that is neither SECRET_KEY nor a fallback, or was altered."""


class Decrypted(NamedTuple):
    """A decrypted secret. `is_current` says whether SECRET_KEY, and not a fallback, encrypts it."""

    secret: bytes
    is_current: bool


def encrypt(secret: bytes, context: str) -> bytes:
    """Encrypt a secret. It can be decrypted only with the same `context`, such as the id of its row."""
    nonce = secrets.token_bytes(_NONCE_LENGTH)
    return nonce + _cipher(settings.SECRET_KEY).encrypt(nonce, secret, context.encode())


def decrypt(encrypted: bytes, context: str) -> Decrypted:
    """Decrypt what `encrypt` returned for the same `context`.

    Raises DecryptionFailed.
    """
    nonce, ciphertext = encrypted[:_NONCE_LENGTH], encrypted[_NONCE_LENGTH:]
    for server_key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            secret = _cipher(server_key).decrypt(nonce, ciphertext, context.encode())
        except (InvalidTag, ValueError):
            continue
        return Decrypted(secret, server_key == settings.SECRET_KEY)
    raise DecryptionFailed


@lru_cache(maxsize=8)
def _cipher(server_key: str | bytes) -> AESGCM:
    material = server_key.encode() if isinstance(server_key, str) else server_key
    derivation = HKDF(SHA256(), _KEY_LENGTH, salt=None, info=b"accounts.factors")
    return AESGCM(derivation.derive(material))
