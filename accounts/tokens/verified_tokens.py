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


class _CacheEntry(NamedTuple):
    claims: AccessClaims
    key: VerifyingKey


_cache_lock = Lock()
_cache: LRUCache[bytes, _CacheEntry] = LRUCache(CACHE_SIZE)


def get(token: str, issuer: str, audience: str, keys: Mapping[str, VerifyingKey]) -> AccessClaims | None:
    """Return what a token says that was verified for an issuer and an audience by a key that is still trusted."""
    cache_key = _cache_key(token, issuer, audience)
    with _cache_lock:
        entry = _cache.get(cache_key)
    return entry.claims if entry and keys.get(entry.key.kid) == entry.key else None


def add(token: str, issuer: str, audience: str, claims: AccessClaims, key: VerifyingKey) -> None:
    """Remember what a token says, and which key verified it."""
    with _cache_lock:
        _cache[_cache_key(token, issuer, audience)] = _CacheEntry(claims, key)


def _cache_key(token: str, issuer: str, audience: str) -> bytes:
    return sha256(f"{issuer}\0{audience}\0{token}".encode(errors="surrogatepass")).digest()
