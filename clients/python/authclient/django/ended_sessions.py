"""A store of ended sessions in a cache of the project, which its processes must share."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.cache import caches

from authclient.django.conf import service_settings

_PREFIX = "authclient:ended:"


@dataclass(frozen=True, slots=True)
class CacheEndedSessions:
    """Stores ended sessions in the cache with this alias in CACHES."""

    alias: str = "default"

    def add(self, key: str, value: int, seconds: int) -> None:
        """Store a value for a number of seconds.

        Raises OSError.
        """
        with _as_os_error():
            caches[self.alias].set(_PREFIX + key, value, seconds)

    def find(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return the values that are stored for some of the keys.

        Raises OSError.
        """
        with _as_os_error():
            found = caches[self.alias].get_many([_PREFIX + key for key in keys])
        return {key.removeprefix(_PREFIX): value for key, value in found.items()}


def ended_sessions() -> CacheEndedSessions | None:
    """Return the store that AUTH_SERVICE names, or None if the project receives no logout tokens.

    `client_id` in AUTH_SERVICE switches it on. `ended_sessions` is the alias of the cache.
    """
    service = service_settings()
    return CacheEndedSessions(service.get("ended_sessions", "default")) if "client_id" in service else None


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Raise OSError instead of the exceptions of a cache backend, of which each has its own."""
    try:
        yield
    except Exception as error:
        raise OSError(f"The cache failed: {type(error).__name__}") from error
