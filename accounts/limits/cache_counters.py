"""Counters in Redis or Valkey. Imported only if `CACHE_URL` is set."""

import math
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import ParamSpec, TypeVar

from limits.errors import StorageError
from limits.storage import RedisStorage

from accounts.errors import Unavailable
from accounts.limits.counters import Count, Counter

P = ParamSpec("P")
R = TypeVar("R")

_CACHE_TIMEOUT = 2  # seconds


class CacheCounters:
    """Counters in Redis or Valkey. `count` and `uncount` raise Unavailable if it is unreachable."""

    def __init__(self, url: str) -> None:
        # `limits` takes redis out of sys.modules, even while another thread is still importing it, and then fails.
        # An import waits for the other thread.
        import_module("redis")
        self._storage = RedisStorage(
            url, wrap_exceptions=True, socket_timeout=_CACHE_TIMEOUT, socket_connect_timeout=_CACHE_TIMEOUT
        )

    def count(self, counters: Sequence[Counter]) -> list[Count]:
        """Increment one counter after the other."""
        return [
            Count(
                key, _call_storage(self._storage.incr, key, window), _call_storage(self._storage.get_expiry, key)
            )
            for key, window in counters
        ]

    def uncount(self, counted: Sequence[Count]) -> None:
        """Decrement one counter after the other."""
        for count in counted:
            if time.time() < count.resets_at:
                _call_storage(self._storage.incr, count.key, math.ceil(count.resets_at - time.time()), -1)

    def delete_empty(self, counted: Sequence[Count]) -> None:
        """Do nothing: Redis deletes each counter at the end of its window."""

    def check(self) -> bool:
        """Ping the server, and return whether it responded."""
        return self._storage.check()


def _call_storage(operation: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call Redis, or raise Unavailable: an attempt that cannot be counted must not be allowed."""
    try:
        return operation(*args, **kwargs)
    except StorageError:
        raise Unavailable from None
