"""Rotates the signing key, or drops a compromised one."""

import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from accounts.conf import ALGORITHMS
from accounts.keys import rotation as key_rotation
from accounts.keys.rotation import KeyUnknown
from accounts.keys.schedule import Schedule, ScheduleEntry
from accounts.management.service_command import ServiceCommand


class Command(ServiceCommand):
    """The command `rotate_signing_key`."""

    help = (
        "Schedules the next key to sign, and publishes a new next key. No request fails and no restart is "
        "needed: every process reads the new schedule on its next request. Tokens signed with the previous key "
        "remain valid until they expire. Safe to interrupt and to run again."
    )
    # A leaked key must be dropped even while the database is down.
    requires_database = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options: another algorithm, or a key to drop."""
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--algorithm", choices=ALGORITHMS, help="sign with another algorithm from now on")
        choice.add_argument(
            "--drop",
            metavar="KID",
            help="remove a compromised key immediately: its tokens are rejected from the next request on",
        )

    def handle(self, *, algorithm: str | None, drop: str | None, **_: Any) -> None:
        """Rotate or drop a key, and print the status of every key."""
        try:
            schedule = key_rotation.rotate(algorithm) if drop is None else key_rotation.drop(drop)
        except (ImproperlyConfigured, KeyUnknown) as error:
            raise CommandError(str(error)) from None
        now = time.time()
        for entry in schedule.entries:
            self.stdout.write(f"{entry.kid} {entry.algorithm}: {_describe(entry, schedule, now)}")


def _describe(entry: ScheduleEntry, schedule: Schedule, now: float) -> str:
    if entry.is_scheduled_at(now):
        return f"published, signs from {_format_time(entry.signs_from)}"
    if entry == schedule.signing(now):
        return (
            "signs"
            if entry.verifies_until is None
            else f"signs until the next key takes over, {_verification_period(entry)}"
        )
    return "published, signs next" if entry.signs_from is None else _verification_period(entry)


def _verification_period(entry: ScheduleEntry) -> str:
    return f"verifies until {_format_time(entry.verifies_until)}"


def _format_time(seconds: int | None) -> str:
    return "further notice" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
