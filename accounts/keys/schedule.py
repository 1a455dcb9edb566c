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

RING = "ring.json"
SUFFIXES = (".pem", ".secret")

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Slot:
    """A key's place in the schedule; moments are in seconds since the epoch."""

    kid: str
    file: str
    algorithm: str
    published_at: int
    signs_from: int | None = None
    verifies_until: int | None = None

    @property
    def is_sound(self) -> bool:
        """Whether it is what this module writes: no file elsewhere, and moments that are numbers or none."""
        is_here = re.fullmatch(r"[\w.-]+", self.file, re.ASCII) and Path(self.file).suffix in SUFFIXES
        moments = (self.signs_from, self.verifies_until)
        has_moments = type(self.published_at) is int and all(
            type(moment) in {int, type(None)} for moment in moments
        )
        return bool(is_here) and has_moments and self.algorithm in ALGORITHMS

    def signs_at_all(self) -> bool:
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
    slots: tuple[Slot, ...] = ()

    @classmethod
    def read(cls, folder: Path, algorithm: str) -> tuple[Self, dict[str, SigningKey]]:
        """Read a folder's schedule, or derive it from the files' names; return it with the keys by `kid`.

        Raises ImproperlyConfigured where a file cannot be used.
        """
        schedule = cls.read_ring(folder)
        if schedule is None:
            return cls._derive(folder, algorithm)
        return schedule, {slot.kid: _read_slot(slot, folder) for slot in schedule.slots}

    @classmethod
    def read_ring(cls, folder: Path) -> Self | None:
        """Read `ring.json` and none of the keys; None where there is none.

        Raises ImproperlyConfigured.
        """
        try:
            content = (folder / RING).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(folder / RING, error) from None
        return cls._parse(content, folder)

    def spell(self) -> bytes:
        """Give the content of `ring.json`."""
        keys_ = [asdict(slot) for slot in self.slots]
        return json.dumps({"version": _VERSION, "algorithm": self.algorithm, "keys": keys_}, indent=2).encode()

    def signing(self, now: float) -> Slot | None:
        """Return the one that signs."""
        due = [slot for slot in reversed(self.slots) if slot.signs_at(now)]
        if due:
            # Of two that began in one second the one that was made later.
            return max(due, key=lambda slot: slot.signs_from or 0)
        # On a machine whose clock is behind, the first whose time will come.
        return min(filter(Slot.signs_at_all, self.slots), key=lambda slot: slot.signs_from or 0, default=None)

    def slot(self, kid: str) -> Slot | None:
        """Return a key's place."""
        return next((slot for slot in self.slots if slot.kid == kid), None)

    def changed(self, *changed: Slot) -> Self:
        """Put slots in the place of those with the same key, or at the end."""
        by_kid = {slot.kid: slot for slot in self.slots} | {slot.kid: slot for slot in changed}
        return replace(self, slots=tuple(by_kid.values()))

    def without(self, *kids: str) -> Self:
        """Leave keys out."""
        return replace(self, slots=tuple(slot for slot in self.slots if slot.kid not in kids))

    def _is_sound(self) -> bool:
        has_signing = any(slot.signs_from is not None for slot in self.slots)
        has_each_once = len({slot.kid for slot in self.slots}) == len(self.slots)
        return has_signing and has_each_once and all(slot.is_sound for slot in self.slots)

    @classmethod
    def _parse(cls, content: bytes, folder: Path) -> Self:
        try:
            read = json.loads(content)
            schedule = cls(str(read["algorithm"]), tuple(Slot(**slot) for slot in read["keys"]))
            is_sound = read["version"] == _VERSION and schedule._is_sound()
        except (ValueError, TypeError, KeyError, RecursionError):
            is_sound = False
        if not is_sound:
            raise ImproperlyConfigured(
                f"AUTH_KEYS_DIR: {folder / RING} is damaged. Restore it, or remove it: then all keys verify, and "
                "the last by name signs."
            )
        return schedule

    @classmethod
    def _derive(cls, folder: Path, algorithm: str) -> tuple[Self, dict[str, SigningKey]]:
        paths = key_files(folder)
        found = {path: signing_keys.read(path) for path in paths}
        slots = []
        for place, (path, key) in enumerate(found.items()):
            # The last one of the algorithm wins; those of another algorithm only where there is none.
            signs_from = place if key.algorithm == algorithm else -1
            is_next = path.name.startswith("next")
            slots.append(Slot(key.kid, path.name, key.algorithm, 0, None if is_next else signs_from))
        return cls(algorithm, tuple(slots)), {key.kid: key for key in found.values()}


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


def _read_slot(slot: Slot, folder: Path) -> SigningKey:
    key = signing_keys.read(folder / slot.file)
    if (key.kid, key.algorithm) != (slot.kid, slot.algorithm):
        raise ImproperlyConfigured(
            f"AUTH_KEYS_DIR: {folder / slot.file} holds the {key.algorithm} key {key.kid}, and {RING} says that "
            f"it holds the {slot.algorithm} key {slot.kid}. Put the right file there."
        )
    return key
