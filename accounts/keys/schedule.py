"""The schedule of signing keys: each key is published, then signs, then only verifies, then is removed.

The schedule is the file `ring.json` in the key folder. For each key it holds the file name and three times, in
seconds since the epoch: when the key was published, when it starts to sign (null for the next key), and until when
it verifies (null until another key takes over). Of the keys that may sign, the latest one does, so every process
and machine that reads the schedule switches at the same moment.

In a folder without a schedule, such as one mounted from a secret store, every key verifies. The last key by name
of the configured algorithm signs; keys whose names begin with `next` are only published.
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
from accounts.keys.signing_keys import ENCRYPTION_ALGORITHM, SigningKey

RING_FILE = "ring.json"
SUFFIXES = (".pem", ".secret", ".jwk")

_VERSION = 1


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """One key of the schedule. Times are in seconds since the epoch."""

    kid: str
    file: str
    algorithm: str
    published_at: int
    signs_from: int | None = None
    verifies_until: int | None = None

    @property
    def is_valid(self) -> bool:
        """Whether the entry is well-formed: a file name without a path, and times that are numbers or null."""
        is_here = re.fullmatch(r"[\w.-]+", self.file, re.ASCII) and Path(self.file).suffix in SUFFIXES
        moments = (self.signs_from, self.verifies_until)
        has_moments = type(self.published_at) is int and all(
            type(moment) in {int, type(None)} for moment in moments
        )
        return bool(is_here) and has_moments and self.algorithm in (*ALGORITHMS, ENCRYPTION_ALGORITHM)

    def is_current_or_future_signer(self) -> bool:
        """Return whether the key signs now or later, and has not been retired."""
        return self.signs_from is not None and self.verifies_until is None

    def signs_at(self, now: float) -> bool:
        """Return whether the key may sign at `now`."""
        return self.signs_from is not None and self.signs_from <= now and self.verifies_at(now)

    def verifies_at(self, now: float) -> bool:
        """Return whether the key verifies at `now`."""
        return self.verifies_until is None or now < self.verifies_until

    def is_scheduled_at(self, now: float) -> bool:
        """Return whether the key starts to sign after `now`."""
        return self.signs_from is not None and now < self.signs_from


@dataclass(frozen=True, slots=True)
class Schedule:
    """The schedule of a folder.

    `algorithm` is the value of AUTH_ALGORITHM that the schedule was last adapted to.
    """

    algorithm: str
    entries: tuple[ScheduleEntry, ...] = ()

    @classmethod
    def read(cls, folder: Path, algorithm: str) -> tuple[Self, dict[str, SigningKey]]:
        """Return a folder's schedule, from `ring.json` or derived from the file names, and its keys by `kid`.

        Raises ImproperlyConfigured if a file cannot be used, or if a key is for another purpose than `algorithm`.
        """
        schedule = cls.load_ring(folder)
        if schedule is None:
            schedule, keys = cls._derive(folder, algorithm)
        else:
            keys = {entry.kid: _load_key(entry, folder) for entry in schedule.entries}
        for key in keys.values():
            if (key.algorithm == ENCRYPTION_ALGORITHM) != (algorithm == ENCRYPTION_ALGORITHM):
                raise ImproperlyConfigured(
                    f"AUTH_KEYS_DIR: {folder} contains the {key.algorithm} key {key.kid}. Allowed: only keys that "
                    "sign in the folder itself, and only keys that encrypt in its folder encryption."
                )
        return schedule, keys

    @classmethod
    def load_ring(cls, folder: Path) -> Self | None:
        """Return the schedule of `ring.json` without loading keys, or None if there is no such file.

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
        """Return the content of `ring.json`."""
        serialized_entries = [asdict(entry) for entry in self.entries]
        return json.dumps(
            {"version": _VERSION, "algorithm": self.algorithm, "keys": serialized_entries}, indent=2
        ).encode()

    def signing(self, now: float) -> ScheduleEntry | None:
        """Return the entry of the key that signs at `now`, or None."""
        due = [entry for entry in reversed(self.entries) if entry.signs_at(now)]
        if due:
            # If two keys start in the same second, the one that was created later signs.
            return max(due, key=lambda entry: entry.signs_from or 0)
        # On a machine whose clock is behind, the first key that will sign.
        return min(
            filter(ScheduleEntry.is_current_or_future_signer, self.entries),
            key=lambda entry: entry.signs_from or 0,
            default=None,
        )

    def entry(self, kid: str) -> ScheduleEntry | None:
        """Return the entry of a key, or None."""
        return next((entry for entry in self.entries if entry.kid == kid), None)

    def with_entries(self, *with_entries: ScheduleEntry) -> Self:
        """Return a schedule in which `changed` replace the entries with the same `kid`, or are appended."""
        by_kid = {entry.kid: entry for entry in self.entries} | {entry.kid: entry for entry in with_entries}
        return replace(self, entries=tuple(by_kid.values()))

    def without(self, *kids: str) -> Self:
        """Return a schedule without these keys."""
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
                f"AUTH_KEYS_DIR: {folder / RING_FILE} is damaged. Restore it from a backup. Without the file, "
                "all keys verify and the last one by name signs."
            )
        return schedule

    @classmethod
    def _derive(cls, folder: Path, algorithm: str) -> tuple[Self, dict[str, SigningKey]]:
        paths = key_files(folder)
        keys_by_path = {path: signing_keys.load(path) for path in paths}
        entries = []
        for place, (path, key) in enumerate(keys_by_path.items()):
            # The last key of the algorithm signs; keys of other algorithms only if there is none.
            signs_from = place if key.algorithm == algorithm else -1
            is_next = path.name.startswith("next")
            entries.append(ScheduleEntry(key.kid, path.name, key.algorithm, 0, None if is_next else signs_from))
        return cls(algorithm, tuple(entries)), {key.kid: key for key in keys_by_path.values()}


def key_files(folder: Path) -> Sequence[Path]:
    """Return the key files of a folder, sorted by name."""
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
            f"AUTH_KEYS_DIR: {folder / entry.file} contains the {key.algorithm} key {key.kid}, but {RING_FILE} "
            f"expects the {entry.algorithm} key {entry.kid}. Restore the right file."
        )
    return key
