"""Access tokens that this process has verified, so that a signature is checked once and not with each request.

A token is remembered by its digest, and vouched for by the key that verified it: without the key nothing is
recalled.
"""

from collections.abc import Mapping
from hashlib import sha256
from threading import Lock
from typing import NamedTuple

from cachetools import LRUCache

from accounts.tokens.claims import AccessClaims, VerifyingKey

CACHE_SIZE = 20_000
"""How many tokens a process remembers: about 30 MiB."""


class _Verified(NamedTuple):
    claims: AccessClaims
    key: VerifyingKey


_lock = Lock()
_verified: LRUCache[bytes, _Verified] = LRUCache(CACHE_SIZE)


def get(text: str, issuer: str, audience: str, keys: Mapping[str, VerifyingKey]) -> AccessClaims | None:
    """Return what a token says that was verified for an issuer and an audience by a key that is still trusted."""
    digest = _digest(text, issuer, audience)
    with _lock:
        found = _verified.get(digest)
    return found.claims if found and keys.get(found.key.kid) == found.key else None


def add(text: str, issuer: str, audience: str, claims: AccessClaims, key: VerifyingKey) -> None:
    """Remember what a token says, and which key verified it."""
    with _lock:
        _verified[_digest(text, issuer, audience)] = _Verified(claims, key)


def _digest(text: str, issuer: str, audience: str) -> bytes:
    return sha256(f"{issuer}\0{audience}\0{text}".encode(errors="surrogatepass")).digest()
