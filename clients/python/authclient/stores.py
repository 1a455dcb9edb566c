"""Stores for a session: in memory, or in a file that processes share and that survives restarts."""

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol, TypeGuard

from authclient import file_lock
from authclient.errors import AuthError
from authclient.failures import Failure

LOCK_TIMEOUT = 60.0  # seconds; longer than a refresh with all its retries


@dataclass(frozen=True, slots=True)
class Session:
    """Both tokens and the times of the access token, in seconds since 1970."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    renew_at: float
    expires_at: float


class Store(Protocol):
    """A store for one session: any object with these three methods.

    A method that fails raises OSError. The session is then remembered in memory.
    """

    def load(self) -> Session | None:
        """Return the stored session, or None."""

    def save(self, session: Session | None) -> None:
        """Store the session, or delete it if it is None."""

    def lock(self) -> AbstractContextManager[object]:
        """Return a context manager that prevents others who share the store from refreshing."""


class MemoryStore:
    """Stores a session in memory."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._lock = threading.Lock()

    def load(self) -> Session | None:
        """Return the stored session, or None."""
        return self._session

    def save(self, session: Session | None) -> None:
        """Store the session, or delete it if it is None."""
        self._session = session

    def lock(self) -> AbstractContextManager[object]:
        """Return a lock between the threads that share this store."""
        return self._lock


class FileStore:
    """Stores a session in a file that only its owner can read. Processes on one machine may share it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser()
        self._lock_path = self._path.with_name(f"{self._path.name}.lock")

    def load(self) -> Session | None:
        """Return the session in the file, or None if there is no file or no valid session in it."""
        try:
            session = Session(**json.loads(self._path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return session if _is_valid(session) else None

    def save(self, session: Session | None) -> None:
        """Replace the file atomically, or delete it if the session is None."""
        if session is None:
            self._path.unlink(missing_ok=True)
            return
        self._make_folder()
        # mkstemp creates a file that only its owner can read.
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(asdict(session), file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def load_failure(self) -> Failure | None:
        """Return the last failure that a process has saved, or None."""
        try:
            return Failure.from_json(self._lock_path.read_text())
        except FileNotFoundError:
            return None

    def save_failure(self, failure: Failure) -> None:
        """Save the failure of a refresh for the processes that wait for the lock, in the locked file itself."""
        self._lock_path.write_text(failure.to_json())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the session against other processes.

        Raises AuthError (`locked`) after LOCK_TIMEOUT.
        """
        self._make_folder()
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not file_lock.acquire(descriptor, LOCK_TIMEOUT):
                raise AuthError("locked", f"Another process holds {self._lock_path}.")
            try:
                yield
            finally:
                file_lock.release(descriptor)
        finally:
            os.close(descriptor)

    def _make_folder(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def is_token(value: object) -> TypeGuard[str]:
    """Return whether a value from JSON may be a token."""
    return isinstance(value, str) and value != ""


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value from JSON is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_valid(session: Session) -> bool:
    tokens, times = (session.access_token, session.refresh_token), (session.renew_at, session.expires_at)
    return all(map(is_token, tokens)) and all(map(is_number, times))
