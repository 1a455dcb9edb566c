"""The keys in use: the key that signs now, the keys that verify now, and their public halves.

Each process loads the key folder once and re-reads it when its mtime changes, checking at most every
RELOAD_INTERVAL. Checking on every request cost about 5 % of a protected request. `rotation.drop` waits for one
interval, so that a dropped key is refused on the next request. If a changed folder cannot be used, the process
logs an error and continues with the previous keys.
"""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured

from accounts.conf import auth_settings
from accounts.keys import rotation as key_rotation
from accounts.keys.folders import encryption_folder
from accounts.keys.schedule import RING_FILE, Schedule, key_files
from accounts.keys.signing_keys import SigningKey

logger = logging.getLogger("accounts.key_ring")

monotonic = time.monotonic

_MTIME_RESOLUTION = 2  # seconds within which two changes may have the same mtime
_RETRY_INTERVAL = 1  # seconds

Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The key that signs, and all keys that verify, by `kid`, including those that will sign later."""

    signing: SigningKey
    verifying: Mapping[str, SigningKey]

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JWK set (RFC 7517 section 5). HS256 secrets are never included."""
        return {"keys": [dict(key.jwk) for key in self.verifying.values() if key.jwk is not None]}


class _ActiveRing(NamedTuple):
    """The ring that a schedule determines between `since` and `until`.

    Both are checked, because a clock may be set back.
    """

    ring: KeyRing
    since: float
    until: float


@dataclass(slots=True)
class _CachedFolder:
    """The content of a folder as this process loaded it, with the stamp that identifies that state."""

    schedule: Schedule
    keys: Mapping[str, SigningKey]
    stamp: Stamp
    check_again_at: float
    active: _ActiveRing
    checked_at: float = float("-inf")


_cache: dict[tuple[Path, str], _CachedFolder] = {}


def key_ring() -> KeyRing:
    """Return the key ring. If there is no key of the configured algorithm, create one.

    Raises ImproperlyConfigured if the folder cannot be used and this process has no keys yet.
    """
    settings = auth_settings()
    return _ring_of(settings.keys_dir, settings.algorithm)


def encryption_key() -> SigningKey:
    """Return the key that encrypts access tokens now. If there is none, create one.

    Raises ImproperlyConfigured if the folder cannot be used and this process has no keys yet.
    """
    return _ring_of(*encryption_folder()).signing


def decryption_keys() -> Mapping[str, SigningKey]:
    """Return the keys that decrypt access tokens, by `kid`, including those that will encrypt later.

    With AUTH_TOKEN_ENCRYPTION off, these are the keys that are there, if any, for tokens issued before.

    Raises ImproperlyConfigured if the folder cannot be used and this process has no keys yet.
    """
    folder = encryption_folder()
    if not auth_settings().token_encryption and folder not in _cache and not key_files(folder.path):
        return {}
    return _ring_of(*folder).verifying


def _ring_of(folder: Path, algorithm: str) -> KeyRing:
    now = time.time()
    cached = _cache.get((folder, algorithm))
    if cached is None:
        _create_if_missing(folder, algorithm)
        cached = _cache[folder, algorithm] = _load(folder, algorithm)
    elif (now_monotonic := monotonic()) - cached.checked_at >= key_rotation.RELOAD_INTERVAL:
        if cached.stamp != _stamp(folder) or cached.check_again_at <= now:
            cached = _cache[folder, algorithm] = _reload(cached, folder, algorithm, now)
        cached.checked_at = now_monotonic
    if not cached.active.since <= now < cached.active.until:
        cached.active = _ring_at(cached.schedule, cached.keys, now)
    return cached.active.ring


def _load(folder: Path, algorithm: str) -> _CachedFolder:
    stamp, schedule, keys = _load_consistent(folder, algorithm)
    now = time.time()  # after loading, to compare it with the files' mtime
    active = _ring_at(schedule, keys, now)
    is_settled = abs(now - max(stamp[0], stamp[2]) / 1e9) > _MTIME_RESOLUTION
    return _CachedFolder(schedule, keys, stamp, float("inf") if is_settled else now, active)


def _create_if_missing(folder: Path, algorithm: str) -> None:
    """Create keys on the first start, and if mounted keys have another algorithm than the configured one."""
    _, schedule, _ = _load_consistent(folder, algorithm)
    signing = schedule.signing(time.time())
    if signing is None or (signing.algorithm != algorithm and not (folder / RING_FILE).exists()):
        key_rotation.create_first_keys(folder, algorithm)


def _load_consistent(folder: Path, algorithm: str) -> tuple[Stamp, Schedule, Mapping[str, SigningKey]]:
    """Load the folder, and retry if a rotation changed it in the meantime."""
    while True:
        stamp = _stamp(folder)
        try:
            return stamp, *Schedule.read(folder, algorithm)
        except ImproperlyConfigured:
            if stamp == _stamp(folder):
                raise


def _reload(cached: _CachedFolder, folder: Path, algorithm: str, now: float) -> _CachedFolder:
    """Load the changed folder. If it cannot be used, keep the previous keys, except those that were dropped."""
    try:
        reloaded = _load(folder, algorithm)
        _check_same_folder(folder, reloaded, cached)
    except ImproperlyConfigured as error:
        logger.error("The changed signing keys cannot be used; the previous ones stay in use. %s", error)  # noqa: TRY400  the message is complete
        cached.schedule = _apply_known_keys(cached, folder)
        cached.active = _ring_at(cached.schedule, cached.keys, now)
        cached.stamp, cached.check_again_at = _stamp(folder), now + _RETRY_INTERVAL
        return cached
    return reloaded


def _check_same_folder(folder: Path, reloaded: _CachedFolder, cached: _CachedFolder) -> None:
    """Check that the folder still contains a known key. Otherwise its volume may not be mounted.

    Raises ImproperlyConfigured.
    """
    if not (folder / RING_FILE).exists() and not set(reloaded.keys) & set(cached.keys):
        raise ImproperlyConfigured(f"AUTH_KEYS_DIR: {folder} no longer contains any of its keys.")


def _apply_known_keys(cached: _CachedFolder, folder: Path) -> Schedule:
    """Return the new schedule, restricted to known keys.

    So a dropped key is refused even if another key is broken.
    """
    try:
        schedule = Schedule.load_ring(folder)
    except ImproperlyConfigured:
        return cached.schedule
    if schedule is None:
        return cached.schedule
    restricted = schedule.without(*(entry.kid for entry in schedule.entries if entry.kid not in cached.keys))
    return restricted if restricted.signing(time.time()) else cached.schedule


def _ring_at(schedule: Schedule, keys: Mapping[str, SigningKey], now: float) -> _ActiveRing:
    """Return the ring at `now`, and when it changes next."""
    signing = schedule.signing(now)
    if signing is None:
        raise ImproperlyConfigured("AUTH_KEYS_DIR: no key signs. Allowed: a schedule with a signing key.")
    verifying = {entry.kid: keys[entry.kid] for entry in schedule.entries if entry.verifies_at(now)}
    moments = [
        moment for entry in schedule.entries for moment in (entry.signs_from, entry.verifies_until) if moment
    ]
    changes_at = min((moment for moment in moments if moment > now), default=float("inf"))
    return _ActiveRing(KeyRing(keys[signing.kid], verifying), now, changes_at)


def _stamp(folder: Path) -> Stamp:
    """Return what identifies a state of the folder: mtime and inode of the folder and of the schedule."""
    # On the hot path: joining Path objects would take longer than stat().
    return (*_stat(str(folder)), *_stat(f"{folder}/{RING_FILE}"))


def _stat(path: str) -> Stamp:
    try:
        reloaded = os.stat(path)  # noqa: PTH116
    except OSError:
        return (0, 0)
    return (reloaded.st_mtime_ns, reloaded.st_ino)
