"""Rotate signing keys while the service runs: publish the next key, let it sign, retire the previous one.

A rotation replaces the schedule once. The new schedule determines everything that follows: the next key, published
by the previous rotation, starts to sign when every verifier can know it; the current key verifies until its last
token has expired; and a new next key is published. A rotation can be interrupted, because files that are not in
the schedule are not keys, and repeated, because a rotation in progress is not started again.
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
from accounts.keys.folders import KeyFolder, signing_folder
from accounts.keys.private_files import make_folder, open_private, read_or_create, replace_file
from accounts.keys.schedule import RING_FILE, SUFFIXES, Schedule, ScheduleEntry, key_files
from accounts.values.clients import NO_CLIENT

JWKS_MAX_AGE = 30
"""Seconds for which verifiers may cache the published keys."""

PUBLISH_LEAD_TIME = 60
"""Seconds for which a key is published before it signs. By then, every cached JWKS has expired."""

RELOAD_INTERVAL = 0.02
"""Seconds between two checks of a process whether the keys have changed."""

_VERIFY_MARGIN = (
    60  # seconds that a key verifies after its last token expired, for clock differences between machines
)
_CLOCK_TOLERANCE = 60  # seconds that a machine's clock may be behind
_DRAFT_NAME = re.compile(r"\..+\.[0-9a-f]{16}")
_GENERATED_NAME = re.compile(r"[A-Za-z0-9_-]{43}")


class KeyUnknown(Exception):
    """No key has this `kid`. The message lists the existing ones."""


def create_first_keys(folder: Path, algorithm: str) -> None:
    """Create the first key, which signs immediately, and the next one, unless another process already has.

    Raises ImproperlyConfigured if the folder cannot be written.
    """
    with _locked(folder):
        now = int(time.time())
        schedule, _ = Schedule.read(folder, algorithm)
        signing = schedule.signing(now)
        if signing is None or signing.algorithm != algorithm:
            _save(folder, _activate_next_key(schedule, algorithm, folder, now, 0))


def apply_algorithm_setting(folder: Path, algorithm: str) -> None:
    """Let a key of the configured algorithm sign immediately, if AUTH_ALGORITHM has changed since the last start.

    A change made by `rotate(algorithm)` is kept.

    Raises ImproperlyConfigured.
    """
    schedule = Schedule.load_ring(folder)
    if schedule is None or schedule.algorithm == algorithm:
        return  # without a lock, because the folder may be read-only
    with _locked(folder):
        now = int(time.time())
        schedule, _ = Schedule.read(folder, algorithm)
        signing = schedule.signing(now)
        candidates = [entry for entry in schedule.entries if entry == signing or entry.is_scheduled_at(now)]
        if not any(entry.algorithm == algorithm for entry in candidates):
            schedule = _activate_next_key(schedule, algorithm, folder, now, 0)
        _save(folder, replace(schedule, algorithm=algorithm))


def rotate(algorithm: str | None = None, *, within: KeyFolder | None = None) -> Schedule:
    """Rotate to the next key as soon as every verifier can know it; return the new schedule.

    `algorithm` switches to another algorithm. `within` is the folder, by default that of the signing keys. A
    rotation in progress is not started again.

    Raises ImproperlyConfigured, also if there are no keys yet: only the first start creates them.
    """
    folder, default_algorithm = within or signing_folder()
    _refuse_missing_keys(folder)
    with _locked(folder):
        now = int(time.time())
        schedule = _load_unexpired(folder, default_algorithm, now)
        signing = schedule.signing(now)
        in_progress = [entry for entry in schedule.entries if entry.is_scheduled_at(now)]
        latest = in_progress[-1] if in_progress else signing
        target_algorithm = algorithm or (latest.algorithm if latest else default_algorithm)
        if not any(entry.algorithm == target_algorithm for entry in in_progress):
            schedule = schedule.without(*(entry.kid for entry in in_progress))
            delay = PUBLISH_LEAD_TIME if signing else 0
            schedule = _activate_next_key(schedule, target_algorithm, folder, now, delay)
            _save(folder, schedule)
            record(Event.KEY_ROTATED, client=NO_CLIENT, algorithm=target_algorithm)
        else:
            _save(folder, schedule)
        return schedule


def drop(kid: str, *, within: KeyFolder | None = None) -> Schedule:
    """Remove a key immediately, so that its tokens are refused; return the new schedule.

    `within` is the folder, by default that of the signing keys.

    When this function returns, every process that shares the folder uses the new schedule for its next request.

    Raises KeyUnknown or ImproperlyConfigured.
    """
    folder, default_algorithm = within or signing_folder()
    _refuse_missing_keys(folder)
    with _locked(folder):
        now = int(time.time())
        # Keys are loaded only if there is no schedule, so that a damaged key does not prevent dropping another.
        schedule = Schedule.load_ring(folder) or Schedule.read(folder, default_algorithm)[0]
        dropped, files = schedule.entry(kid), _files_containing(kid, folder)
        if dropped is None and not files:
            known = ", ".join(entry.kid for entry in schedule.entries)
            raise KeyUnknown(f"There is no key {kid!r}. Existing keys: {known}.")
        if dropped is not None:
            schedule = _replace_dropped(schedule, dropped, folder, now)
            files = [*files, dropped.file]
        _save(folder, schedule, *files)
        record(Event.KEY_DROPPED, client=NO_CLIENT, kid=kid)
    time.sleep(RELOAD_INTERVAL)
    return schedule


def _refuse_missing_keys(folder: Path) -> None:
    """Raise ImproperlyConfigured if a folder has no keys: only the first start of the service creates them."""
    if not key_files(folder) and not (folder / RING_FILE).exists():
        raise ImproperlyConfigured(
            f"AUTH_KEYS_DIR: {folder.absolute()} contains no signing keys. Allowed: the key folder of the "
            "service, whose first start creates the keys."
        )


def _replace_dropped(schedule: Schedule, dropped: ScheduleEntry, folder: Path, now: int) -> Schedule:
    """Return the schedule without the dropped key, with another key in its role."""
    was_signing = schedule.signing(now) == dropped
    schedule = schedule.without(dropped.kid)
    if was_signing:
        return _activate_next_key(schedule, dropped.algorithm, folder, now, 0)
    if dropped.is_scheduled_at(now):
        return _activate_next_key(schedule, dropped.algorithm, folder, now, PUBLISH_LEAD_TIME)
    return _ensure_next_key(schedule, folder, _signing_algorithm(schedule, now), now)


def _files_containing(kid: str, folder: Path) -> list[str]:
    """Return the files that contain the key. An interrupted drop or a mounted folder may leave several."""
    names = []
    for path in key_files(folder):
        with contextlib.suppress(ImproperlyConfigured):
            if signing_keys.load(path).kid == kid:
                names.append(path.name)
    return names


def _activate_next_key(schedule: Schedule, algorithm: str, folder: Path, now: int, lead_time: int) -> Schedule:
    """Return a schedule in which the next key signs after it has been published for `lead_time` seconds.

    The current key verifies until its last token expires. A new next key is published.
    """
    schedule = _ensure_next_key(schedule, folder, algorithm, now)
    next_key = next(entry for entry in schedule.entries if entry.signs_from is None)
    signing = schedule.signing(now)
    current = signing if signing and signing.signs_at(now) else None
    signs_from = max(now, next_key.published_at + lead_time)
    lifetime: timedelta = auth_settings().access_token_lifetime
    until = signs_from + int(lifetime.total_seconds()) + _VERIFY_MARGIN
    if not lead_time:
        # In the past, so that the key signs on machines whose clocks are behind, too.
        signs_from = max(now - _CLOCK_TOLERANCE, (current and current.signs_from) or 0)
    retired = [
        replace(entry, verifies_until=until)
        for entry in schedule.entries
        if entry == current or (entry.signs_at(now) and entry.verifies_until is None)
    ]
    schedule = schedule.with_entries(*retired, replace(next_key, signs_from=signs_from))
    return _ensure_next_key(schedule, folder, algorithm, now)


def _signing_algorithm(schedule: Schedule, now: int) -> str:
    signing = schedule.signing(now)
    return signing.algorithm if signing else auth_settings().algorithm


def _ensure_next_key(schedule: Schedule, folder: Path, algorithm: str, now: int) -> Schedule:
    """Return a schedule with exactly one next key, of this algorithm, creating it if needed."""
    waiting = [entry for entry in schedule.entries if entry.signs_from is None]
    schedule = schedule.without(*(entry.kid for entry in waiting if entry.algorithm != algorithm))
    if any(entry.algorithm == algorithm for entry in waiting):
        return schedule
    content = signing_keys.generate(algorithm)
    suffix = signing_keys.file_suffix(algorithm)
    key = signing_keys.parse(content, folder / f"new{suffix}")
    path = folder / f"{key.kid}{suffix}"
    try:
        read_or_create(path, lambda: content)
    except OSError as error:
        raise _write_error(folder, error) from None
    return schedule.with_entries(ScheduleEntry(key.kid, path.name, algorithm, published_at=now))


def _load_unexpired(folder: Path, algorithm: str, now: int) -> Schedule:
    schedule, _ = Schedule.read(folder, algorithm)
    return schedule.without(*(entry.kid for entry in schedule.entries if not entry.verifies_at(now)))


def _save(folder: Path, schedule: Schedule, *dropped: str) -> None:
    """Store the schedule, then delete dropped files and generated keys that are not in the schedule."""
    scheduled_files = {entry.file for entry in schedule.entries}
    try:
        replace_file(folder / RING_FILE, schedule.serialize())
        for path in folder.iterdir():
            is_generated = path.suffix in SUFFIXES and _GENERATED_NAME.fullmatch(path.stem)
            # The folder is locked, so a draft can only be left over from a process that was killed.
            if (
                path.name in dropped
                or _DRAFT_NAME.fullmatch(path.name)
                or (is_generated and path.name not in scheduled_files)
            ):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise _write_error(folder, error) from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder against changes by other processes, also on machines that share it."""
    try:
        make_folder(folder)
        lock = open_private(folder / ".lock")
    except OSError as error:
        raise _write_error(folder, error) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_error(folder: Path, error: OSError) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"AUTH_KEYS_DIR: {folder} cannot be written: {error.strerror}. Allowed: a folder that this process may "
        "write to. If the keys are mounted, change them at their source."
    )
