"""The base of the commands `rotate_signing_key` and `rotate_encryption_key`."""

import time
from abc import abstractmethod
from argparse import ArgumentParser, _MutuallyExclusiveGroup
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from accounts.keys import rotation as key_rotation
from accounts.keys.folders import KeyFolder
from accounts.keys.rotation import KeyUnknown
from accounts.keys.schedule import Schedule, ScheduleEntry
from accounts.management.service_command import ServiceCommand


class Verbs(NamedTuple):
    """What a key does to tokens while they are issued, and to those that come back."""

    issuing: str
    accepting: str


class KeyCommand(ServiceCommand):
    """A command that rotates or drops a key, and prints the status of every key."""

    # A leaked key must be dropped even while the database is down.
    requires_database = False

    verbs: Verbs

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options that exclude each other, such as the key to drop."""
        self.add_choices(parser.add_mutually_exclusive_group())

    def add_choices(self, choices: _MutuallyExclusiveGroup) -> None:
        """Add the options of the command."""
        choices.add_argument(
            "--drop",
            metavar="KID",
            help="remove a compromised key immediately: its tokens are rejected from the next request on; write "
            "--drop=KID if it begins with -",
        )

    @abstractmethod
    def folder(self) -> KeyFolder:
        """Return the folder of the keys."""

    def handle(self, *, drop: str | None, algorithm: str | None = None, **_: Any) -> None:
        """Rotate or drop a key, and print the status of every key."""
        within = self.folder()
        try:
            schedule = (
                key_rotation.rotate(algorithm, within=within)
                if drop is None
                else key_rotation.drop(drop, within=within)
            )
        except (ImproperlyConfigured, KeyUnknown) as error:
            raise CommandError(str(error)) from None
        now = time.time()
        for entry in schedule.entries:
            self.stdout.write(f"{entry.kid} {entry.algorithm}: {self._describe(entry, schedule, now)}")

    def _describe(self, entry: ScheduleEntry, schedule: Schedule, now: float) -> str:
        issues = self.verbs.issuing
        if entry.is_scheduled_at(now):
            return f"published, {issues} from {_format_time(entry.signs_from)}"
        if entry == schedule.signing(now):
            if entry.verifies_until is None:
                return issues
            return f"{issues} until the next key takes over, {self._accepting_period(entry)}"
        return f"published, {issues} next" if entry.signs_from is None else self._accepting_period(entry)

    def _accepting_period(self, entry: ScheduleEntry) -> str:
        return f"{self.verbs.accepting} until {_format_time(entry.verifies_until)}"


def _format_time(seconds: int | None) -> str:
    return "further notice" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
