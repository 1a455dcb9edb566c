"""Store the counts of failed attempts in the database, or in Redis or Valkey if `CACHE_URL` is set.

Both increment atomically, so the counts are exact across threads, processes and machines. The `limits` library,
which `cache_counters` uses, has no storage in a SQL database and none that the processes of one machine share, so
this module counts in the database with its own SQL.
"""

import time
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple, Protocol

from django.conf import settings

from accounts.databases import connection_of
from accounts.models import GuessCount

Counter = tuple[str, int]
"""The key of a counter, and the length of its window in seconds."""

_COUNT = """
    INSERT INTO accounts_guesscount (key, count, resets_at) VALUES {rows}
    ON CONFLICT (key) DO UPDATE SET
        count = CASE WHEN accounts_guesscount.resets_at <= %s THEN excluded.count
                     ELSE accounts_guesscount.count + excluded.count END,
        resets_at = CASE WHEN accounts_guesscount.resets_at <= %s THEN excluded.resets_at
                         ELSE accounts_guesscount.resets_at END
    RETURNING key, count, resets_at
"""
# Not an UPDATE: it locks rows in no defined order, and could deadlock with _COUNT.
_UNCOUNT = """
    INSERT INTO accounts_guesscount (key, count, resets_at) VALUES {rows}
    ON CONFLICT (key) DO UPDATE SET count = accounts_guesscount.count - 1
    WHERE accounts_guesscount.resets_at = excluded.resets_at
"""


class Count(NamedTuple):
    """The value of a counter after an attempt, and the end of its window in seconds since the epoch."""

    key: str
    amount: int
    resets_at: float


class Counters(Protocol):
    """Counters with fixed windows: a window starts with its first attempt, and later attempts do not extend it."""

    def count(self, counters: Sequence[Counter]) -> list[Count]:
        """Increment each counter, and return the new values in the same order."""

    def uncount(self, counted: Sequence[Count]) -> None:
        """Decrement each counter, unless its window has ended since the attempt was counted."""

    def delete_empty(self, counted: Sequence[Count]) -> None:
        """Delete counters at zero, so that throttled attempts on random usernames do not fill the storage."""

    def check(self) -> bool:
        """Return whether the storage is reachable."""


class DatabaseCounters:
    """Counters in a database table."""

    def count(self, counters: Sequence[Counter]) -> list[Count]:
        """Increment all counters in one statement, which locks the rows in the given order."""
        now = time.time()
        rows = ", ".join(["(%s, 1, %s)"] * len(counters))
        values = [value for key, window in counters for value in (key, now + window)]
        with connection_of(GuessCount).cursor() as cursor:
            cursor.execute(_COUNT.format(rows=rows), [*values, now, now])
            counts = {row[0]: Count(*row) for row in cursor.fetchall()}
        return [counts[key] for key, _ in counters]

    def uncount(self, counted: Sequence[Count]) -> None:
        """Decrement all counters in one statement, which locks the rows in the same order as `count`."""
        rows = ", ".join(["(%s, 0, %s)"] * len(counted))
        values = [value for count in counted for value in (count.key, count.resets_at)]
        with connection_of(GuessCount).cursor() as cursor:
            cursor.execute(_UNCOUNT.format(rows=rows), values)

    def delete_empty(self, counted: Sequence[Count]) -> None:
        """Delete the rows whose count is zero."""
        GuessCount.objects.filter(key__in=[count.key for count in counted], count__lte=0).delete()

    def check(self) -> bool:
        """Return True if the table can be queried. Raises DatabaseError otherwise."""
        GuessCount.objects.exists()
        return True


def counters() -> Counters:
    """Return the configured counters. Called at the start too, so that a missing library prevents the start."""
    return _counters_for(getattr(settings, "GUESS_COUNTERS_URL", "database:"))


@cache
def _counters_for(url: str) -> Counters:
    if url.startswith("database:"):
        return DatabaseCounters()
    # The library takes a tenth of the start of a process, and 3 MiB.
    in_cache: Counters = import_module("accounts.limits.cache_counters").CacheCounters(url)
    return in_cache
