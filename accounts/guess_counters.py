"""Where failed guesses are counted: in the database, or in Redis or Valkey where `CACHE_URL` names one.

Both count in atomic steps, so they are right across threads, processes and machines. The library `limits` speaks
to Redis; it has no storage for a SQL database, and none that processes of one machine share, so the default is
one statement of our own.
"""

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import ParamSpec, Protocol, TypeVar

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

_ADD = """
    INSERT INTO accounts_guesscount (key, count, resets_at) VALUES {rows}
    ON CONFLICT (key) DO UPDATE SET
        count = CASE WHEN accounts_guesscount.resets_at <= %s THEN excluded.count
                     ELSE accounts_guesscount.count + %s END,
        resets_at = CASE WHEN accounts_guesscount.resets_at <= %s THEN excluded.resets_at
                         ELSE accounts_guesscount.resets_at END
    RETURNING key, count
"""


class Counters(Protocol):
    """Counts in windows: one starts with its first count and is not prolonged by later ones."""

    def add(self, counters: Sequence[Counter], amount: int) -> list[int]:
        """Add `amount`, which may be negative, to each; return what each has now."""

    def forget_empty(self, counters: Sequence[Counter]) -> None:
        """Keep none of those that count nothing: refused attempts on names without number leave nothing behind."""

    def resets_at(self, key: str) -> float:
        """Return when the window of a counter ends, in seconds since the epoch."""

    def check(self) -> bool:
        """Tell whether the counters can be reached."""


class DatabaseCounters:
    """Counts in a table."""

    def add(self, counters: Sequence[Counter], amount: int) -> list[int]:
        """Add to all of them in one statement, which locks the rows in the order given."""
        now = time.time()
        rows = ", ".join(["(%s, %s, %s)"] * len(counters))
        values = [value for key, window in counters for value in (key, max(amount, 0), now + window)]
        with connection.cursor() as cursor:
            cursor.execute(_ADD.format(rows=rows), [*values, now, amount, now])
            counts = dict(cursor.fetchall())
        return [counts[key] for key, _ in counters]

    def forget_empty(self, counters: Sequence[Counter]) -> None:
        """Delete their rows."""
        GuessCount.objects.filter(key__in=[key for key, _ in counters], count__lte=0).delete()

    def resets_at(self, key: str) -> float:
        """Return when the window ends; now, where the counter is gone."""
        return GuessCount.objects.filter(key=key).values_list("resets_at", flat=True).first() or time.time()

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

    def add(self, counters: Sequence[Counter], amount: int) -> list[int]:
        """Add to one after the other."""
        return [_reach(self._storage.incr, key, window, amount) for key, window in counters]

    def forget_empty(self, counters: Sequence[Counter]) -> None:
        """Leave them to their windows, at whose end the cache drops them."""

    def resets_at(self, key: str) -> float:
        """Return when the window ends."""
        return _reach(self._storage.get_expiry, key)

    def check(self) -> bool:
        """Ping it."""
        return self._storage.check()


def counters() -> Counters:
    """Return the counters in force."""
    return _counters_at(settings.GUESS_COUNTERS_URL)


@cache
def _counters_at(url: str) -> Counters:
    return DatabaseCounters() if url.startswith("database:") else CacheCounters(url)


def _reach(ask: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Ask the cache; a guess that cannot be counted is not allowed."""
    try:
        return ask(*args, **kwargs)
    except StorageError:
        raise Unavailable from None
