"""Which key does what, and when: published, then signing, then only verifying, then gone.

The schedule of a folder of keys is `ring.json` beside them. It names each key's file, and three moments in seconds
since the epoch: when it was published, from when on it signs (none for the next key, which waits), and until when
it verifies (none as long as no other has taken over). Of the keys whose time to sign has come the latest one
signs, so every process and machine that reads the schedule changes over at the same moment, without being told.

A folder without a schedule, such as one that is mounted from a secret store, has every key verify; of those of the
configured algorithm the last by name signs, unless its name begins with `next`.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from django.core.exceptions import ImproperlyConfigured

from accounts.conf import ALGORITHMS
from accounts.keys import signing_keys
from accounts.keys.signing_keys import SigningKey

RING_FILE = "ring.json"
SUFFIXES = (".pem", ".secret")

_VERSION = 1


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """A key's place in the schedule; moments are in seconds since the epoch."""

    kid: str
    file: str
    algorithm: str
    published_at: int
    signs_from: int | None = None
    verifies_until: int | None = None

    @property
    def is_valid(self) -> bool:
        """Whether it is what this module writes: no file elsewhere, and moments that are numbers or none."""
        is_here = re.fullmatch(r"[\w.-]+", self.file, re.ASCII) and Path(self.file).suffix in SUFFIXES
        moments = (self.signs_from, self.verifies_until)
        has_moments = type(self.published_at) is int and all(
            type(moment) in {int, type(None)} for moment in moments
        )
        return bool(is_here) and has_moments and self.algorithm in ALGORITHMS

    def is_current_or_future_signer(self) -> bool:
        """Tell whether there is a moment from which it signs, and none from which it is gone."""
        return self.signs_from is not None and self.verifies_until is None

    def signs_at(self, now: float) -> bool:
        """Tell whether its time to sign has come, and that to be gone has not."""
        return self.signs_from is not None and self.signs_from <= now and self.verifies_at(now)

    def verifies_at(self, now: float) -> bool:
        """Tell whether what it signed is still good."""
        return self.verifies_until is None or now < self.verifies_until

    def is_scheduled_at(self, now: float) -> bool:
        """Tell whether the time that it signs from is still to come."""
        return self.signs_from is not None and now < self.signs_from


@dataclass(frozen=True, slots=True)
class Schedule:
    """The keys of a folder. `algorithm` is what the setting was when the schedule was last brought in line."""

    algorithm: str
    entries: tuple[ScheduleEntry, ...] = ()

    @classmethod
    def read(cls, folder: Path, algorithm: str) -> tuple[Self, dict[str, SigningKey]]:
        """Read a folder's schedule, or derive it from the files' names; return it with the keys by `kid`.

        Raises ImproperlyConfigured where a file cannot be used.
        """
        schedule = cls.load_ring(folder)
        if schedule is None:
            return cls._derive(folder, algorithm)
        return schedule, {entry.kid: _load_key(entry, folder) for entry in schedule.entries}

    @classmethod
    def load_ring(cls, folder: Path) -> Self | None:
        """Read `ring.json` and none of the keys; None where there is none.

        Raises ImproperlyConfigured.
        """
        try:
            content = (folder / RING_FILE).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(folder / RING_FILE, error) from None
        return cls._parse(content, folder)

    def serialize(self) -> bytes:
        """Give the content of `ring.json`."""
        serialized_entries = [asdict(entry) for entry in self.entries]
        return json.dumps(
            {"version": _VERSION, "algorithm": self.algorithm, "keys": serialized_entries}, indent=2
        ).encode()

    def signing(self, now: float) -> ScheduleEntry | None:
        """Return the one that signs."""
        due = [entry for entry in reversed(self.entries) if entry.signs_at(now)]
        if due:
            # Of two that began in one second the one that was made later.
            return max(due, key=lambda entry: entry.signs_from or 0)
        # On a machine whose clock is behind, the first whose time will come.
        return min(
            filter(ScheduleEntry.is_current_or_future_signer, self.entries),
            key=lambda entry: entry.signs_from or 0,
            default=None,
        )

    def entry(self, kid: str) -> ScheduleEntry | None:
        """Return a key's place."""
        return next((entry for entry in self.entries if entry.kid == kid), None)

    def with_entries(self, *with_entries: ScheduleEntry) -> Self:
        """Put slots in the place of those with the same key, or at the end."""
        by_kid = {entry.kid: entry for entry in self.entries} | {entry.kid: entry for entry in with_entries}
        return replace(self, entries=tuple(by_kid.values()))

    def without(self, *kids: str) -> Self:
        """Leave keys out."""
        return replace(self, entries=tuple(entry for entry in self.entries if entry.kid not in kids))

    def _is_valid(self) -> bool:
        has_signing = any(entry.signs_from is not None for entry in self.entries)
        has_each_once = len({entry.kid for entry in self.entries}) == len(self.entries)
        return has_signing and has_each_once and all(entry.is_valid for entry in self.entries)

    @classmethod
    def _parse(cls, content: bytes, folder: Path) -> Self:
        try:
            read = json.loads(content)
            schedule = cls(str(read["algorithm"]), tuple(ScheduleEntry(**entry) for entry in read["keys"]))
            is_valid = read["version"] == _VERSION and schedule._is_valid()
        except (ValueError, TypeError, KeyError, RecursionError):
            is_valid = False
        if not is_valid:
            raise ImproperlyConfigured(
                f"AUTH_KEYS_DIR: {folder / RING_FILE} is damaged. Restore it, or remove it: then all keys verify, "
                "and the last by name signs."
            )
        return schedule

    @classmethod
    def _derive(cls, folder: Path, algorithm: str) -> tuple[Self, dict[str, SigningKey]]:
        paths = key_files(folder)
        keys_by_path = {path: signing_keys.load(path) for path in paths}
        entries = []
        for place, (path, key) in enumerate(keys_by_path.items()):
            # The last one of the algorithm wins; those of another algorithm only where there is none.
            signs_from = place if key.algorithm == algorithm else -1
            is_next = path.name.startswith("next")
            entries.append(ScheduleEntry(key.kid, path.name, key.algorithm, 0, None if is_next else signs_from))
        return cls(algorithm, tuple(entries)), {key.kid: key for key in keys_by_path.values()}


def key_files(folder: Path) -> Sequence[Path]:
    """List the files of a folder that are keys by their names, in the order of these."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.name[0] != ".")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(folder, error) from None


def _unreadable(path: Path, error: OSError) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"AUTH_KEYS_DIR: {path} cannot be read: {error.strerror}.")


def _load_key(entry: ScheduleEntry, folder: Path) -> SigningKey:
    key = signing_keys.load(folder / entry.file)
    if (key.kid, key.algorithm) != (entry.kid, entry.algorithm):
        raise ImproperlyConfigured(
            f"AUTH_KEYS_DIR: {folder / entry.file} holds the {key.algorithm} key {key.kid}, and {RING_FILE} says "
            f"that it holds the {entry.algorithm} key {entry.kid}. Put the right file there."
        )
    return key
