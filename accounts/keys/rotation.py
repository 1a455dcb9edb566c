"""Changing keys while the service runs: publish the next one, let it sign, retire the one before; or drop one.

A rotation is one replacement of the schedule, by which everything that follows is settled: the next key, which was
published with the last rotation, signs from a moment on at which every verifier can know it; the one before
verifies until its last token has expired; and a new next key is published. It is safe to be interrupted (what is
not in the schedule is no key) and to be run again (a rotation under way is left to take its course).
"""

import contextlib
import fcntl
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from accounts.conf import auth_settings
from accounts.history.events import Event, record
from accounts.keys import signing_keys
from accounts.keys.private_files import open_private, read_or_create, replace_file
from accounts.keys.schedule import RING, SUFFIXES, Schedule, Slot, key_files
from accounts.values.clients import NO_CLIENT

JWKS_MAX_AGE = 30
"""How long a verifier may keep the published keys, in seconds."""

PUBLISHED_BEFORE_SIGNING = 60
"""How long a key is published before it signs, in seconds: by then every copy of the JWKS is replaced."""

LOOK_EVERY = 0.02
"""How long a process goes on with the keys that it knows before it looks whether they have changed, in seconds."""

_MARGIN = 60  # seconds that a key verifies beyond the life of its last token, for machines whose clocks differ
_BEHIND = 60  # seconds that a machine's clock may be behind
_DRAFT = re.compile(r"\..+\.[0-9a-f]{16}")
_OWN_NAME = re.compile(r"[A-Za-z0-9_-]{43}")


class KeyUnknown(Exception):
    """No key of the schedule has this `kid`; the message names those that there are."""


def start(folder: Path, algorithm: str) -> None:
    """Make a first key, which signs at once, and the next one; where others have done so meanwhile, do nothing.

    Raises ImproperlyConfigured where they cannot be kept.
    """
    with _locked(folder):
        now = int(time.time())
        schedule, _ = Schedule.read(folder, algorithm)
        signing = schedule.signing(now)
        if signing is None or signing.algorithm != algorithm:
            _write(folder, _taking_over(schedule, algorithm, folder, now, 0))


def follow_setting(folder: Path, algorithm: str) -> None:
    """Let a key of the configured algorithm sign from now on, if the setting has changed since the last start.

    A change by `rotate`, which the setting knows nothing of, stays.

    Raises ImproperlyConfigured.
    """
    schedule = Schedule.read_ring(folder)
    if schedule is None or schedule.algorithm == algorithm:
        return  # without a lock: a folder that nothing is to be changed in may be there for reading alone
    with _locked(folder):
        now = int(time.time())
        schedule, _ = Schedule.read(folder, algorithm)
        signing = schedule.signing(now)
        moved = [slot for slot in schedule.slots if slot == signing or slot.is_scheduled_at(now)]
        if not any(slot.algorithm == algorithm for slot in moved):
            schedule = _taking_over(schedule, algorithm, folder, now, 0)
        _write(folder, replace(schedule, algorithm=algorithm))


def rotate(algorithm: str | None = None) -> Schedule:
    """Let the next key sign as soon as every verifier can know it; return the schedule.

    `algorithm` moves the service to another one. A rotation under way is not begun anew.

    Raises ImproperlyConfigured.
    """
    settings = auth_settings()
    with _locked(settings.keys_dir):
        now = int(time.time())
        schedule = _still_verifying(settings.keys_dir, settings.algorithm, now)
        signing = schedule.signing(now)
        under_way = [slot for slot in schedule.slots if slot.is_scheduled_at(now)]
        latest = under_way[-1] if under_way else signing
        wanted = algorithm or (latest.algorithm if latest else settings.algorithm)
        if not any(slot.algorithm == wanted for slot in under_way):
            schedule = schedule.without(*(slot.kid for slot in under_way))
            delay = PUBLISHED_BEFORE_SIGNING if signing else 0
            schedule = _taking_over(schedule, wanted, settings.keys_dir, now, delay)
            _write(settings.keys_dir, schedule)
            record(Event.KEY_ROTATED, client=NO_CLIENT, algorithm=wanted)
        else:
            _write(settings.keys_dir, schedule)
        return schedule


def drop(kid: str) -> Schedule:
    """Take a key out of use at once, with all that it signed; another one signs from now on. Return the schedule.

    When this returns, every process that reads the folder has looked, or looks with its next request.

    Raises KeyUnknown or ImproperlyConfigured.
    """
    settings = auth_settings()
    with _locked(settings.keys_dir):
        now = int(time.time())
        # Of a folder with a schedule no key is read: a damaged one stands in nobody's way.
        schedule = Schedule.read_ring(settings.keys_dir) or Schedule.read(settings.keys_dir, settings.algorithm)[0]
        dropped, files = schedule.slot(kid), _files_with(kid, settings.keys_dir)
        if dropped is None and not files:
            known = ", ".join(slot.kid for slot in schedule.slots)
            raise KeyUnknown(f"No key is called {kid!r}. Keys are: {known}.")
        if dropped is not None:
            schedule = _replaced(schedule, dropped, settings.keys_dir, now)
            files = [*files, dropped.file]
        _write(settings.keys_dir, schedule, *files)
        record(Event.KEY_DROPPED, client=NO_CLIENT, kid=kid)
    time.sleep(LOOK_EVERY)
    return schedule


def _replaced(schedule: Schedule, dropped: Slot, folder: Path, now: int) -> Schedule:
    """Leave a key out, and let another one do what it did."""
    was_signing = schedule.signing(now) == dropped
    schedule = schedule.without(dropped.kid)
    if was_signing:
        return _taking_over(schedule, dropped.algorithm, folder, now, 0)
    if dropped.is_scheduled_at(now):
        return _taking_over(schedule, dropped.algorithm, folder, now, PUBLISHED_BEFORE_SIGNING)
    return _with_next(schedule, folder, _signing_algorithm(schedule, now), now)


def _files_with(kid: str, folder: Path) -> list[str]:
    """Find the files that hold a key: one that is mounted may be there twice, or left from a drop cut short."""
    found = []
    for path in key_files(folder):
        with contextlib.suppress(ImproperlyConfigured):
            if signing_keys.read(path).kid == kid:
                found.append(path.name)
    return found


def _taking_over(schedule: Schedule, algorithm: str, folder: Path, now: int, published_for: int) -> Schedule:
    """Let the next key of an algorithm sign once it has been published for so many seconds; publish another one.

    Those that sign until then verify for as long as their last token is good.
    """
    schedule = _with_next(schedule, folder, algorithm, now)
    chosen = next(slot for slot in schedule.slots if slot.signs_from is None)
    signing = schedule.signing(now)
    current = signing if signing and signing.signs_at(now) else None
    signs_from = max(now, chosen.published_at + published_for)
    lifetime: timedelta = auth_settings().access_token_lifetime
    until = signs_from + int(lifetime.total_seconds()) + _MARGIN
    if not published_for:
        # In the past, so that machines whose clocks are behind agree that it signs.
        signs_from = max(now - _BEHIND, (current and current.signs_from) or 0)
    retired = [
        replace(slot, verifies_until=until)
        for slot in schedule.slots
        if slot == current or (slot.signs_at(now) and slot.verifies_until is None)
    ]
    schedule = schedule.changed(*retired, replace(chosen, signs_from=signs_from))
    return _with_next(schedule, folder, algorithm, now)


def _signing_algorithm(schedule: Schedule, now: int) -> str:
    signing = schedule.signing(now)
    return signing.algorithm if signing else auth_settings().algorithm


def _with_next(schedule: Schedule, folder: Path, algorithm: str, now: int) -> Schedule:
    """Have one next key, of an algorithm: make it where there is none, leave those of another algorithm out."""
    waiting = [slot for slot in schedule.slots if slot.signs_from is None]
    schedule = schedule.without(*(slot.kid for slot in waiting if slot.algorithm != algorithm))
    if any(slot.algorithm == algorithm for slot in waiting):
        return schedule
    content = signing_keys.make(algorithm)
    suffix = signing_keys.suffix_of(algorithm)
    key = signing_keys.parse(content, folder / f"new{suffix}")
    path = folder / f"{key.kid}{suffix}"
    try:
        read_or_create(path, lambda: content)
    except OSError as error:
        raise _cannot_keep(folder, error) from None
    return schedule.changed(Slot(key.kid, path.name, algorithm, published_at=now))


def _still_verifying(folder: Path, algorithm: str, now: int) -> Schedule:
    schedule, _ = Schedule.read(folder, algorithm)
    return schedule.without(*(slot.kid for slot in schedule.slots if not slot.verifies_at(now)))


def _write(folder: Path, schedule: Schedule, *dropped: str) -> None:
    """Keep the schedule; then delete the files that were dropped, and those of ours that it does not name."""
    named = {slot.file for slot in schedule.slots}
    try:
        replace_file(folder / RING, schedule.spell())
        for path in folder.iterdir():
            is_own = path.suffix in SUFFIXES and _OWN_NAME.fullmatch(path.stem)
            # Nobody else writes while the folder is locked: a draft is left from who was killed.
            if path.name in dropped or _DRAFT.fullmatch(path.name) or (is_own and path.name not in named):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_keep(folder, error) from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep others, on this machine and on those that share the folder, from changing it meanwhile."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = open_private(folder / ".lock")
    except OSError as error:
        raise _cannot_keep(folder, error) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _cannot_keep(folder: Path, error: OSError) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"AUTH_KEYS_DIR: nothing can be kept in {folder}: {error.strerror}. Allowed: a folder that this process "
        "may write to; where keys are mounted, change them where they come from."
    )
