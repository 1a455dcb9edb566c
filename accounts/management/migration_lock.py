"""A lock that lets one process at a time migrate a database."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db.backends.base.base import BaseDatabaseWrapper

_LOCK_ID = 0x61757468  # "auth", among the application's advisory locks
_POLL_INTERVAL = 0.2  # seconds


@contextmanager
def migration_lock(connection: BaseDatabaseWrapper, report_waiting: Callable[[], object]) -> Iterator[None]:
    """Wait until no other process holds the lock of this database, and hold it.

    `report_waiting` is called once if another process holds the lock. The lock ends with the process, even if it
    is killed. Databases other than PostgreSQL and SQLite files are not locked.
    """
    with _lock_for(connection) as try_to_lock:
        if not try_to_lock():
            report_waiting()
            while not try_to_lock():
                time.sleep(_POLL_INTERVAL)
        yield


def _lock_for(connection: BaseDatabaseWrapper) -> contextlib.AbstractContextManager[Callable[[], bool]]:
    if connection.vendor == "postgresql":
        return _advisory_lock(connection)
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and Path(name).parent.is_dir() and not name.startswith((":", "file:")):
        return _folder_lock(Path(name).parent)
    return contextlib.nullcontext(lambda: True)


@contextmanager
def _advisory_lock(connection: BaseDatabaseWrapper) -> Iterator[Callable[[], bool]]:
    """Lock within a transaction of a second connection.

    A lock of the session would stay with a connection of PgBouncer. Trying repeatedly avoids the time limits on
    statements and locks.
    """
    second = connection.copy()
    second.set_autocommit(False)
    try:
        yield lambda: _try_advisory_lock(second)
    finally:
        second.close()


def _try_advisory_lock(connection: BaseDatabaseWrapper) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK_ID])
        return bool(cursor.fetchone()[0])


@contextmanager
def _folder_lock(folder: Path) -> Iterator[Callable[[], bool]]:
    """Lock the folder of a SQLite file, because the file may not exist yet."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield lambda: _try_file_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_file_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
