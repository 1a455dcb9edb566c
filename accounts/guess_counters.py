"""Where failed guesses are counted: in the database, or in Redis or Valkey where `CACHE_URL` names one.

Both are storages of the library `limits`, which speaks to Redis and Valkey itself but to no SQL database.
Both count with one atomic step, so they are right across threads, processes and machines.
"""

import time
from collections.abc import Iterable
from functools import cache

from django.conf import settings
from django.db import Error, connection
from django.db.models import F
from limits.storage import RedisStorage, Storage

from accounts.models import GuessCount

Counter = tuple[str, int]
"""The key of a counter, and the length of its window in seconds."""

_CACHE_TIMEOUT = 2  # seconds

_INCREMENT = """
    INSERT INTO accounts_guesscount (key, count, resets_at) VALUES (%(key)s, %(amount)s, %(resets_at)s)
    ON CONFLICT (key) DO UPDATE SET
        count = CASE WHEN accounts_guesscount.resets_at <= %(now)s THEN excluded.count
                     ELSE accounts_guesscount.count + excluded.count END,
        resets_at = CASE WHEN accounts_guesscount.resets_at <= %(now)s THEN excluded.resets_at
                         ELSE accounts_guesscount.resets_at END
    RETURNING count
"""


class DatabaseStorage(Storage):
    """Counts in a table. A window starts with its first count and is not prolonged by later ones."""

    STORAGE_SCHEME = ["database"]

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What may go wrong below."""
        return Error

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` and return the count; `expiry` is in seconds."""
        now = time.time()
        values: dict[str, str | float] = {"key": key, "amount": amount, "resets_at": now + expiry, "now": now}
        with connection.cursor() as cursor:
            cursor.execute(_INCREMENT, values)
            (count,) = cursor.fetchone()
        return int(count)

    def give_back(self, counters: Iterable[Counter]) -> None:
        """Take one off each counter whose window is still running."""
        keys = [key for key, _ in counters]
        running = GuessCount.objects.filter(key__in=keys, resets_at__gt=time.time(), count__gt=0)
        running.update(count=F("count") - 1)

    def get(self, key: str) -> int:
        """Return the count of the window that is running, else 0."""
        running = GuessCount.objects.filter(key=key, resets_at__gt=time.time())
        return running.values_list("count", flat=True).first() or 0

    def get_expiry(self, key: str) -> float:
        """Return when the window ends, in seconds since the epoch; now, where none is running."""
        now = time.time()
        running = GuessCount.objects.filter(key=key, resets_at__gt=now)
        return running.values_list("resets_at", flat=True).first() or now

    def check(self) -> bool:
        """Tell whether the counters can be reached."""
        GuessCount.objects.exists()
        return True

    def reset(self) -> int:
        """Forget every counter; return how many there were."""
        return GuessCount.objects.all().delete()[0]

    def clear(self, key: str) -> None:
        """Forget one counter."""
        GuessCount.objects.filter(key=key).delete()


class CacheStorage(RedisStorage):
    """Counts in Redis or Valkey."""

    def give_back(self, counters: Iterable[Counter]) -> None:
        """Take one off each counter."""
        for key, window in counters:
            self.incr(key, window, amount=-1)


@cache
def counters_at(url: str) -> DatabaseStorage | CacheStorage:
    """Return the storage that a URL names: `database:`, or as in `CACHE_URL`."""
    if url.startswith("database:"):
        return DatabaseStorage()
    return CacheStorage(
        url,
        wrap_exceptions=True,
        socket_timeout=_CACHE_TIMEOUT,
        socket_connect_timeout=_CACHE_TIMEOUT,
    )


def counters() -> DatabaseStorage | CacheStorage:
    """Return the storage in force."""
    return counters_at(settings.GUESS_COUNTERS_URL)
