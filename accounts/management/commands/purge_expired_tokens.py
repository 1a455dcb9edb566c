"""Deletes expired sessions and other expired rows."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from tqdm import tqdm

from accounts import purge
from accounts.management.service_command import ServiceCommand

MAX_BATCH_SIZE = 10_000


class Command(ServiceCommand):
    """The command `purge_expired_tokens`."""

    help = (
        "Deletes expired sessions in bounded batches. Also deletes expired counters of failed attempts, expired "
        "invitations, networks and devices not seen for a year, events older than AUTH_ACTIVITY_LIFETIME, and "
        "sign-ups not verified in time, and notices when no user has an imported password hash any more. Safe to "
        "run while the service runs, to interrupt, and to run twice at the same time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments: a dry run, the size of a batch, and a retention time."""
        parser.add_argument("--dry-run", action="store_true", help="count expired sessions, and delete nothing")
        parser.add_argument(
            "--batch-size",
            type=_parse_batch_size,
            default=1000,
            help=f"number of rows deleted per transaction, from 1 to {MAX_BATCH_SIZE} (default: 1000)",
        )
        parser.add_argument(
            "--retain",
            type=_parse_days,
            default=timedelta(),
            metavar="DAYS",
            help="number of days to retain sessions after they expire (default: 0)",
        )

    def handle(self, *, dry_run: bool, batch_size: int, retain: timedelta, **_: Any) -> None:
        """Delete expired rows, and print how many of each kind."""
        if dry_run:
            number = sum(rows.count() for rows in purge.expired_sessions(retain))
            self.stdout.write(f"{number} expired sessions would be deleted.")
            return
        deleted = 0
        # The bar appears on a terminal only, and has no total: counting would read every row once more.
        with tqdm(disable=None, unit=" sessions", desc="purged") as bar:
            for count in purge.delete_expired_sessions(retain, batch_size):
                deleted += count
                bar.update(count)
        counts = [f"{deleted} expired sessions"]
        for words, rows in purge.other_expired_rows().items():
            counts.append(f"{sum(purge.delete_in_batches(rows, batch_size))} {words}")
        abandoned = sum(purge.delete_unverified_sign_ups(batch_size))
        counts.append(f"{abandoned} unverified sign-ups")
        purge.forget_costs_of_imported_hashes()
        self.stdout.write(f"Deleted {', '.join(counts)}.")


def _parse_batch_size(text: str) -> int:
    return _parse_integer(text, 1, MAX_BATCH_SIZE)


def _parse_days(text: str) -> timedelta:
    return timedelta(days=_parse_integer(text, 0, 36500))


def _parse_integer(text: str, lowest: int, highest: int) -> int:
    if not (text.isascii() and text.isdecimal() and lowest <= int(text) <= highest):
        raise ArgumentTypeError(f"{text!r} is not a whole number from {lowest} to {highest}")
    return int(text)
