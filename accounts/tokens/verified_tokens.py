"""Cache the claims of verified access tokens, so that a process verifies each signature only once.

An entry is found by a digest of the token, so that no token is stored. It is returned only while the key that
verified the token is still in the key ring.
"""

from collections.abc import Mapping
from hashlib import sha256
from threading import Lock
from typing import NamedTuple

from cachetools import LRUCache

from accounts.tokens.claims import AccessClaims, VerifyingKey

CACHE_SIZE = 20_000
"""How many tokens a process caches: about 30 MiB."""


class _CacheEntry(NamedTuple):
    claims: AccessClaims
    key: VerifyingKey


_cache_lock = Lock()
_cache: LRUCache[bytes, _CacheEntry] = LRUCache(CACHE_SIZE)


def get(token: str, issuer: str, audience: str, keys: Mapping[str, VerifyingKey]) -> AccessClaims | None:
    """Return the cached claims of a token, or None.

    Returns None if the token was not verified for this issuer and audience, or if its key is no longer in `keys`.
    The caller checks the times.
    """
    cache_key = _cache_key(token, issuer, audience)
    with _cache_lock:
        entry = _cache.get(cache_key)
    return entry.claims if entry and keys.get(entry.key.kid) == entry.key else None


def add(token: str, issuer: str, audience: str, claims: AccessClaims, key: VerifyingKey) -> None:
    """Cache the claims of a token, and the key that verified it."""
    with _cache_lock:
        _cache[_cache_key(token, issuer, audience)] = _CacheEntry(claims, key)


def _cache_key(token: str, issuer: str, audience: str) -> bytes:
    return sha256(f"{issuer}\0{audience}\0{token}".encode(errors="surrogatepass")).digest()
