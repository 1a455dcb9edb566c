from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from accounts import purge

MAX_BATCH_SIZE = 10_000


class Command(BaseCommand):
    """Purge what has expired."""

    help = (
        "Deletes expired sessions, and what else is past its time: counters of failed guesses, networks and "
        "devices known for a year, history older than AUTH_ACTIVITY_LIFETIME, sign-ups never verified. "
        "In bounded batches. "
        "Safe to run while the service runs, to interrupt, and to run twice at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take how much, how old, and whether to."""
        parser.add_argument("--dry-run", action="store_true", help="count the sessions, delete nothing")
        parser.add_argument(
            "--batch-size",
            type=_parse_batch_size,
            default=1000,
            help=f"how many rows one transaction deletes, from 1 to {MAX_BATCH_SIZE} (default: 1000)",
        )
        parser.add_argument(
            "--retain",
            type=_parse_days,
            default=timedelta(),
            metavar="DAYS",
            help="keep sessions for so many days after they expired (default: 0)",
        )

    def handle(self, *, dry_run: bool, batch_size: int, retain: timedelta, **_: Any) -> None:
        """Delete, and say how much."""
        expired = purge.expired_sessions(retain)
        if dry_run:
            self.stdout.write(f"{expired.count()} expired sessions would be deleted.")
            return
        deleted = 0
        # No bar where nobody watches; the total is not counted, for that would read every row once more.
        with tqdm(disable=None, unit=" sessions", desc="purged") as bar:
            for count in purge.delete_in_batches(expired, batch_size):
                deleted += count
                bar.update(count)
        counts = [f"{deleted} expired sessions"]
        for words, rows in purge.other_expired_rows().items():
            counts.append(f"{sum(purge.delete_in_batches(rows, batch_size))} {words}")
        abandoned = sum(purge.delete_unverified_sign_ups(batch_size))
        counts.append(f"{abandoned} sign-ups that were never verified")
        self.stdout.write(f"{', '.join(counts)} were deleted.")


def _parse_batch_size(text: str) -> int:
    return _parse_integer(text, 1, MAX_BATCH_SIZE)


def _parse_days(text: str) -> timedelta:
    return timedelta(days=_parse_integer(text, 0, 36500))


def _parse_integer(text: str, lowest: int, highest: int) -> int:
    if not (text.isascii() and text.isdecimal() and lowest <= int(text) <= highest):
        raise ArgumentTypeError(f"{text!r} is not a whole number from {lowest} to {highest}")
    return int(text)
