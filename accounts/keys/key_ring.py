"""The key ring in force: the key that signs now, those that verify now, and what is published of them.

Each process reads the folder of keys once, and again when it has changed, for which it looks every few
milliseconds: with each request it would take a twentieth of it, most of that the wait for the interpreter, which
another thread gets meanwhile. `key_rotation.drop` waits for as long, so that a dropped key is refused from the
next request on. Where a changed folder cannot be used, the process says so in its log and goes on with what it
had.
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
from accounts.keys.schedule import RING_FILE, Schedule
from accounts.keys.signing_keys import SigningKey

logger = logging.getLogger("accounts.key_ring")

monotonic = time.monotonic

_MTIME_RESOLUTION = 2  # seconds in which two changes may bear one time stamp
_RETRY_INTERVAL = 1  # seconds

Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The key that signs, and by `kid` all those that verify; those whose time is still to come are among them."""

    signing: SigningKey
    verifying: Mapping[str, SigningKey]

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Give the public keys as a JWK set (RFC 7517 section 5). A secret is none."""
        return {"keys": [dict(key.jwk) for key in self.verifying.values() if key.jwk is not None]}


class _ActiveRing(NamedTuple):
    """The ring that follows from a schedule, and from when until when; a clock may be set back."""

    ring: KeyRing
    since: float
    until: float


@dataclass(slots=True)
class _CachedFolder:
    """What a process knows of a folder: as of which stamp, and what follows from it now."""

    schedule: Schedule
    keys: Mapping[str, SigningKey]
    stamp: Stamp
    check_again_at: float
    active: _ActiveRing
    checked_at: float = float("-inf")


_cache: dict[tuple[Path, str], _CachedFolder] = {}


def key_ring() -> KeyRing:
    """Return the key ring in force; where there is no key of the configured algorithm, one is made and kept.

    Raises ImproperlyConfigured where the folder cannot be used and this process knows none that could be.
    """
    settings = auth_settings()
    folder, algorithm = settings.keys_dir, settings.algorithm
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
    now = time.time()  # after the reading: what is written there may be a moment old
    active = _ring_at(schedule, keys, now)
    is_settled = abs(now - max(stamp[0], stamp[2]) / 1e9) > _MTIME_RESOLUTION
    return _CachedFolder(schedule, keys, stamp, float("inf") if is_settled else now, active)


def _create_if_missing(folder: Path, algorithm: str) -> None:
    """Make keys at a first start, and for another algorithm than that of mounted ones."""
    _, schedule, _ = _load_consistent(folder, algorithm)
    signing = schedule.signing(time.time())
    if signing is None or (signing.algorithm != algorithm and not (folder / RING_FILE).exists()):
        key_rotation.create_first_keys(folder, algorithm)


def _load_consistent(folder: Path, algorithm: str) -> tuple[Stamp, Schedule, Mapping[str, SigningKey]]:
    """Read the folder as it is at one moment: a file that a rotation deletes meanwhile is no fault."""
    while True:
        stamp = _stamp(folder)
        try:
            return stamp, *Schedule.read(folder, algorithm)
        except ImproperlyConfigured:
            if stamp == _stamp(folder):
                raise


def _reload(cached: _CachedFolder, folder: Path, algorithm: str, now: float) -> _CachedFolder:
    """Read what has changed. What cannot be used changes nothing, but for keys that the schedule names no more."""
    try:
        reloaded = _load(folder, algorithm)
        _check_same_folder(folder, reloaded, cached)
    except ImproperlyConfigured as error:
        logger.error("The keys have changed and cannot be used; the ones from before stay in force. %s", error)  # noqa: TRY400  the message says it all
        cached.schedule = _apply_known_keys(cached, folder)
        cached.active = _ring_at(cached.schedule, cached.keys, now)
        cached.stamp, cached.check_again_at = _stamp(folder), now + _RETRY_INTERVAL
        return cached
    return reloaded


def _check_same_folder(folder: Path, reloaded: _CachedFolder, cached: _CachedFolder) -> None:
    """Raise ImproperlyConfigured for a folder that is not the one it was: a volume that is not mounted, say."""
    if not (folder / RING_FILE).exists() and not set(reloaded.keys) & set(cached.keys):
        raise ImproperlyConfigured(f"AUTH_KEYS_DIR: {folder} has none of its keys any more.")


def _apply_known_keys(cached: _CachedFolder, folder: Path) -> Schedule:
    """Follow a sound schedule as far as its keys are known: a dropped one is refused, whatever else is faulty."""
    try:
        schedule = Schedule.load_ring(folder)
    except ImproperlyConfigured:
        return cached.schedule
    if schedule is None:
        return cached.schedule
    restricted = schedule.without(*(entry.kid for entry in schedule.entries if entry.kid not in cached.keys))
    return restricted if restricted.signing(time.time()) else cached.schedule


def _ring_at(schedule: Schedule, keys: Mapping[str, SigningKey], now: float) -> _ActiveRing:
    """Give the ring at a moment, and when it changes next."""
    signing = schedule.signing(now)
    if signing is None:
        raise ImproperlyConfigured("AUTH_KEYS_DIR: no key signs. Allowed: a schedule in which one does.")
    verifying = {entry.kid: keys[entry.kid] for entry in schedule.entries if entry.verifies_at(now)}
    moments = [
        moment for entry in schedule.entries for moment in (entry.signs_from, entry.verifies_until) if moment
    ]
    changes_at = min((moment for moment in moments if moment > now), default=float("inf"))
    return _ActiveRing(KeyRing(keys[signing.kid], verifying), now, changes_at)


def _stamp(folder: Path) -> Stamp:
    """Give what tells one state of the folder from another: times of change, and which file the schedule is."""
    # Asked of each request: to join two paths takes longer than to look at the file.
    return (*_stat(str(folder)), *_stat(f"{folder}/{RING_FILE}"))


def _stat(path: str) -> Stamp:
    try:
        reloaded = os.stat(path)  # noqa: PTH116
    except OSError:
        return (0, 0)
    return (reloaded.st_mtime_ns, reloaded.st_ino)
