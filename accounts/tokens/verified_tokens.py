"""Cache the claims of verified access tokens, so that a process verifies each signature only once.

An entry is found by a digest of the token, so that no token is stored. It is returned only while the key that
verified the token is still in the key ring; for an encrypted token, also the key that decrypted it.
"""

from collections.abc import Callable, Mapping
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
    decryption_key: VerifyingKey | None


_cache_lock = Lock()
_cache: LRUCache[bytes, _CacheEntry] = LRUCache(CACHE_SIZE)


def get(
    token: str,
    issuer: str,
    audience: str,
    keys: Mapping[str, VerifyingKey],
    find_decryption_keys: Callable[[], Mapping[str, VerifyingKey]],
) -> AccessClaims | None:
    """Return the cached claims of a token, or None.

    Returns None if the token was not verified for this issuer and audience, or if its key is no longer in `keys`.
    `find_decryption_keys` is called for encrypted tokens only. The caller checks the times.
    """
    cache_key = _cache_key(token, issuer, audience)
    with _cache_lock:
        entry = _cache.get(cache_key)
    if entry is None or keys.get(entry.key.kid) != entry.key:
        return None
    decryption_key = entry.decryption_key
    if decryption_key is not None and find_decryption_keys().get(decryption_key.kid) != decryption_key:
        return None
    return entry.claims


def add(  # noqa: PLR0913, PLR0917  the parts of one entry
    token: str,
    issuer: str,
    audience: str,
    claims: AccessClaims,
    key: VerifyingKey,
    decryption_key: VerifyingKey | None,
) -> None:
    """Cache the claims of a token, the key that verified it, and the key that decrypted it, if any."""
    with _cache_lock:
        _cache[_cache_key(token, issuer, audience)] = _CacheEntry(claims, key, decryption_key)


def _cache_key(token: str, issuer: str, audience: str) -> bytes:
    return sha256(f"{issuer}\0{audience}\0{token}".encode(errors="surrogatepass")).digest()
