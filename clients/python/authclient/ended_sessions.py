"""Stores of ended sessions, by which a verifier refuses access tokens that are valid by their signature.

A receiver of logout tokens adds sessions, and verifiers look them up. Processes that serve requests together must
share a store: `MemoryEndedSessions` is for a single process, `FileEndedSessions` for processes on one machine, and
`RedisEndedSessions`, or `authclient.django.logout.CacheEndedSessions`, for several machines.
"""

import hashlib
import logging
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

SESSION, SUBJECT, TOKEN = "session", "subject", "token"

_TIMEOUT = 5  # seconds to wait for another process that writes to the file

logger = logging.getLogger(__name__)


class EndedSessions(Protocol):
    """A store of numbers by text keys, each for a limited time. Its methods raise OSError if it cannot be used.

    All of them may be called from several threads.
    """

    def add(self, key: str, value: int, seconds: int) -> None:
        """Store a value for a number of seconds, or replace the one that is stored."""

    def find(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return the values that are stored for some of the keys."""


def key_of(kind: str, issuer: str, name: str) -> str:
    """Return the key of an entry: a digest, so that no store contains ids, and every store accepts it."""
    return hashlib.sha256(f"{kind}\0{issuer}\0{name}".encode()).hexdigest()


class MemoryEndedSessions:
    """Stores ended sessions in the memory of one process: the last `max_entries` of them."""

    def __init__(self, max_entries: int = 100_000) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, key: str, value: int, seconds: int) -> None:
        """Store a value. Expired entries make room for it, or else the one that was stored first."""
        now = time.monotonic()
        with self._lock:
            self._entries[key] = value, now + seconds
            self._entries.move_to_end(key)
            while self._is_first_expired(now):
                self._entries.popitem(last=False)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
                logger.warning("The store of ended sessions is full; the oldest one is forgotten.")

    def find(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return the values that are stored for some of the keys."""
        now = time.monotonic()
        with self._lock:
            entries = {key: self._entries[key] for key in keys if key in self._entries}
        return {key: value for key, (value, ends_at) in entries.items() if ends_at > now}

    def _is_first_expired(self, now: float) -> bool:
        """Return whether the entry that was stored first has expired. There is one."""
        _, ends_at = next(iter(self._entries.values()))
        return ends_at <= now


class FileEndedSessions:
    """Stores ended sessions in a file that the processes of one machine share: an SQLite database.

    Raises OSError if the file cannot be created.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).expanduser()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        columns = "key TEXT PRIMARY KEY, value INTEGER, ends_at REAL"
        with self._database() as database:
            database.execute("PRAGMA journal_mode=WAL")  # so that reading does not wait for writing
            database.execute(f"CREATE TABLE IF NOT EXISTS ended ({columns})")

    def add(self, key: str, value: int, seconds: int) -> None:
        """Store a value, and delete expired ones."""
        now = time.time()
        with self._database() as database:
            database.execute("DELETE FROM ended WHERE ends_at <= ?", [now])
            database.execute("INSERT OR REPLACE INTO ended VALUES (?, ?, ?)", [key, value, now + seconds])

    def find(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return the values that are stored for some of the keys."""
        places = ", ".join("?" * len(keys))
        query = f"SELECT key, value FROM ended WHERE key IN ({places}) AND ends_at > ?"  # noqa: S608  no input in it
        with self._database() as database:
            return dict(database.execute(query, [*keys, time.time()]).fetchall())

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Open the database for one transaction, because a connection must not be used after a fork.

        Raises OSError.
        """
        try:
            with closing(sqlite3.connect(self._path, timeout=_TIMEOUT)) as database, database:
                yield database
        except sqlite3.Error as error:
            raise OSError(f"{self._path} cannot be used: {error}") from error


class RedisEndedSessions:
    """Stores ended sessions in Redis or Valkey. `client` is a `redis.Redis`; give it a `socket_timeout`."""

    def __init__(self, client: Any, prefix: str = "authclient:ended:") -> None:
        self._client = client
        self._prefix = prefix

    def add(self, key: str, value: int, seconds: int) -> None:
        """Store a value for a number of seconds."""
        with _as_os_error():
            self._client.set(self._prefix + key, value, ex=seconds)

    def find(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return the values that are stored for some of the keys."""
        with _as_os_error():
            values = self._client.mget([self._prefix + key for key in keys])
        return {key: int(value) for key, value in zip(keys, values, strict=True) if value is not None}


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Raise OSError instead of the exceptions of a client, which this package does not depend on."""
    try:
        yield
    except Exception as error:
        raise OSError(f"The store of ended sessions failed: {type(error).__name__}") from error
