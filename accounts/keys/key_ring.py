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
from accounts.keys.schedule import RING, Schedule
from accounts.keys.signing_keys import SigningKey

logger = logging.getLogger("accounts.key_ring")

monotonic = time.monotonic

_UNSETTLED = 2  # seconds in which two changes may bear one time stamp
_RETRY = 1  # seconds

Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The key that signs, and by `kid` all those that verify; those whose time is still to come are among them."""

    signing: SigningKey
    verifying: Mapping[str, SigningKey]

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Give the public keys as a JWK set (RFC 7517 section 5). A secret is none."""
        return {"keys": [dict(key.jwk) for key in self.verifying.values() if key.jwk is not None]}


class _InForce(NamedTuple):
    """The ring that follows from a schedule, and from when until when; a clock may be set back."""

    ring: KeyRing
    since: float
    until: float


@dataclass(slots=True)
class _Known:
    """What a process knows of a folder: as of which stamp, and what follows from it now."""

    schedule: Schedule
    keys: Mapping[str, SigningKey]
    stamp: Stamp
    check_again_at: float
    in_force: _InForce
    looked_at: float = float("-inf")


_known: dict[tuple[Path, str], _Known] = {}


def key_ring() -> KeyRing:
    """Return the key ring in force; where there is no key of the configured algorithm, one is made and kept.

    Raises ImproperlyConfigured where the folder cannot be used and this process knows none that could be.
    """
    settings = auth_settings()
    folder, algorithm = settings.keys_dir, settings.algorithm
    now = time.time()
    known = _known.get((folder, algorithm))
    if known is None:
        _make_where_missing(folder, algorithm)
        known = _known[folder, algorithm] = _read(folder, algorithm)
    elif (look := monotonic()) - known.looked_at >= key_rotation.LOOK_EVERY:
        if known.stamp != _stamp(folder) or known.check_again_at <= now:
            known = _known[folder, algorithm] = _read_again(known, folder, algorithm, now)
        known.looked_at = look
    if not known.in_force.since <= now < known.in_force.until:
        known.in_force = _at(known.schedule, known.keys, now)
    return known.in_force.ring


def _read(folder: Path, algorithm: str) -> _Known:
    stamp, schedule, keys = _whole(folder, algorithm)
    now = time.time()  # after the reading: what is written there may be a moment old
    in_force = _at(schedule, keys, now)
    is_settled = abs(now - max(stamp[0], stamp[2]) / 1e9) > _UNSETTLED
    return _Known(schedule, keys, stamp, float("inf") if is_settled else now, in_force)


def _make_where_missing(folder: Path, algorithm: str) -> None:
    """Make keys at a first start, and for another algorithm than that of mounted ones."""
    _, schedule, _ = _whole(folder, algorithm)
    signing = schedule.signing(time.time())
    if signing is None or (signing.algorithm != algorithm and not (folder / RING).exists()):
        key_rotation.start(folder, algorithm)


def _whole(folder: Path, algorithm: str) -> tuple[Stamp, Schedule, Mapping[str, SigningKey]]:
    """Read the folder as it is at one moment: a file that a rotation deletes meanwhile is no fault."""
    while True:
        stamp = _stamp(folder)
        try:
            return stamp, *Schedule.read(folder, algorithm)
        except ImproperlyConfigured:
            if stamp == _stamp(folder):
                raise


def _read_again(known: _Known, folder: Path, algorithm: str, now: float) -> _Known:
    """Read what has changed. What cannot be used changes nothing, but for keys that the schedule names no more."""
    try:
        found = _read(folder, algorithm)
        _refuse_other_keys(folder, found, known)
    except ImproperlyConfigured as error:
        logger.error("The keys have changed and cannot be used; the ones from before stay in force. %s", error)  # noqa: TRY400  the message says it all
        known.schedule = _still_named(known, folder)
        known.in_force = _at(known.schedule, known.keys, now)
        known.stamp, known.check_again_at = _stamp(folder), now + _RETRY
        return known
    return found


def _refuse_other_keys(folder: Path, found: _Known, known: _Known) -> None:
    """Raise ImproperlyConfigured for a folder that is not the one it was: a volume that is not mounted, say."""
    if not (folder / RING).exists() and not set(found.keys) & set(known.keys):
        raise ImproperlyConfigured(f"AUTH_KEYS_DIR: {folder} has none of its keys any more.")


def _still_named(known: _Known, folder: Path) -> Schedule:
    """Follow a sound schedule as far as its keys are known: a dropped one is refused, whatever else is faulty."""
    try:
        schedule = Schedule.read_ring(folder)
    except ImproperlyConfigured:
        return known.schedule
    if schedule is None:
        return known.schedule
    followed = schedule.without(*(slot.kid for slot in schedule.slots if slot.kid not in known.keys))
    return followed if followed.signing(time.time()) else known.schedule


def _at(schedule: Schedule, keys: Mapping[str, SigningKey], now: float) -> _InForce:
    """Give the ring at a moment, and when it changes next."""
    signing = schedule.signing(now)
    if signing is None:
        raise ImproperlyConfigured("AUTH_KEYS_DIR: no key signs. Allowed: a schedule in which one does.")
    verifying = {slot.kid: keys[slot.kid] for slot in schedule.slots if slot.verifies_at(now)}
    moments = [moment for slot in schedule.slots for moment in (slot.signs_from, slot.verifies_until) if moment]
    changes_at = min((moment for moment in moments if moment > now), default=float("inf"))
    return _InForce(KeyRing(keys[signing.kid], verifying), now, changes_at)


def _stamp(folder: Path) -> Stamp:
    """Give what tells one state of the folder from another: times of change, and which file the schedule is."""
    # Asked of each request: to join two paths takes longer than to look at the file.
    return (*_stat(str(folder)), *_stat(f"{folder}/{RING}"))


def _stat(path: str) -> Stamp:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)
