"""Where failed guesses are counted: in the database, or in Redis or Valkey where `CACHE_URL` names one.

Both count in atomic steps, so they are right across threads, processes and machines. The library `limits` speaks
to Redis; it has no storage for a SQL database, and none that processes of one machine share, so the default is
one statement of our own.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

from django.conf import settings
from django.db import connection
from limits.errors import StorageError
from limits.storage import RedisStorage

from accounts.errors import Unavailable
from accounts.models import GuessCount

P = ParamSpec("P")
R = TypeVar("R")

Counter = tuple[str, int]
"""The key of a counter, and the length of its window in seconds."""

_CACHE_TIMEOUT = 2  # seconds

_COUNT = """
    INSERT INTO accounts_guesscount (key, count, resets_at) VALUES {rows}
    ON CONFLICT (key) DO UPDATE SET
        count = CASE WHEN accounts_guesscount.resets_at <= %s THEN excluded.count
                     ELSE accounts_guesscount.count + excluded.count END,
        resets_at = CASE WHEN accounts_guesscount.resets_at <= %s THEN excluded.resets_at
                         ELSE accounts_guesscount.resets_at END
    RETURNING key, count, resets_at
"""
# An UPDATE would lock the rows in an order of its own.
_UNCOUNT = """
    INSERT INTO accounts_guesscount (key, count, resets_at) VALUES {rows}
    ON CONFLICT (key) DO UPDATE SET count = accounts_guesscount.count - 1
    WHERE accounts_guesscount.resets_at = excluded.resets_at
"""


class Count(NamedTuple):
    """What a counter stood at when it had counted, and when that window of it ends, in seconds since the epoch."""

    key: str
    amount: int
    resets_at: float


class Counters(Protocol):
    """Counts in windows: one starts with its first count and is not prolonged by later ones."""

    def count(self, counters: Sequence[Counter]) -> list[Count]:
        """Count one more on each; return what each has now."""

    def uncount(self, counted: Sequence[Count]) -> None:
        """Uncount that; where the window is over, nothing is left of it to uncount."""

    def delete_empty(self, counted: Sequence[Count]) -> None:
        """Keep none of those that count nothing: refused attempts on names without number leave nothing behind."""

    def check(self) -> bool:
        """Tell whether the counters can be reached."""


class DatabaseCounters:
    """Counts in a table."""

    def count(self, counters: Sequence[Counter]) -> list[Count]:
        """Count on all of them in one statement, which locks the rows in the order given."""
        now = time.time()
        rows = ", ".join(["(%s, 1, %s)"] * len(counters))
        values = [value for key, window in counters for value in (key, now + window)]
        with connection.cursor() as cursor:
            cursor.execute(_COUNT.format(rows=rows), [*values, now, now])
            counts = {row[0]: Count(*row) for row in cursor.fetchall()}
        return [counts[key] for key, _ in counters]

    def uncount(self, counted: Sequence[Count]) -> None:
        """Uncount on all of them in one statement, which locks the rows in the same order."""
        rows = ", ".join(["(%s, 0, %s)"] * len(counted))
        values = [value for count in counted for value in (count.key, count.resets_at)]
        with connection.cursor() as cursor:
            cursor.execute(_UNCOUNT.format(rows=rows), values)

    def delete_empty(self, counted: Sequence[Count]) -> None:
        """Delete their rows."""
        GuessCount.objects.filter(key__in=[count.key for count in counted], count__lte=0).delete()

    def check(self) -> bool:
        """Ask the table for anything."""
        GuessCount.objects.exists()
        return True


class CacheCounters:
    """Counts in Redis or Valkey. Raises Unavailable where it cannot be reached."""

    def __init__(self, url: str) -> None:
        self._storage = RedisStorage(
            url, wrap_exceptions=True, socket_timeout=_CACHE_TIMEOUT, socket_connect_timeout=_CACHE_TIMEOUT
        )

    def count(self, counters: Sequence[Counter]) -> list[Count]:
        """Count on one after the other."""
        return [
            Count(
                key, _call_storage(self._storage.incr, key, window), _call_storage(self._storage.get_expiry, key)
            )
            for key, window in counters
        ]

    def uncount(self, counted: Sequence[Count]) -> None:
        """Uncount on one after the other."""
        for count in counted:
            if time.time() < count.resets_at:
                _call_storage(self._storage.incr, count.key, math.ceil(count.resets_at - time.time()), -1)

    def delete_empty(self, counted: Sequence[Count]) -> None:
        """Leave them to their windows, at whose end the cache drops them."""

    def check(self) -> bool:
        """Ping it."""
        return self._storage.check()


def counters() -> Counters:
    """Return the counters in force."""
    return _counters_for(getattr(settings, "GUESS_COUNTERS_URL", "database:"))


@cache
def _counters_for(url: str) -> Counters:
    return DatabaseCounters() if url.startswith("database:") else CacheCounters(url)


def _call_storage(operation: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Ask the cache; a guess that cannot be counted is not allowed."""
    try:
        return operation(*args, **kwargs)
    except StorageError:
        raise Unavailable from None
