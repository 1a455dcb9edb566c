"""Where a session is kept between requests, processes and restarts."""

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from authclient.errors import AuthError

LOCK_TIMEOUT = 60.0  # seconds; longer than a process takes that retries a refresh


@dataclass(frozen=True, slots=True)
class Session:
    """Both tokens, and until when the access token is good; moments are seconds since 1970."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    renew_at: float
    expires_at: float


class Store(Protocol):
    """Keeps one session. Any object with these three methods will do."""

    def load(self) -> Session | None:
        """Return the session that was saved last."""

    def save(self, session: Session | None) -> None:
        """Keep the session; None: forget it."""

    def lock(self) -> AbstractContextManager[object]:
        """Keep everyone else who shares the session from refreshing it meanwhile."""


class MemoryStore:
    """Keeps a session for as long as the process lives."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._lock = threading.Lock()

    def load(self) -> Session | None:
        """Return the session that was saved last."""
        return self._session

    def save(self, session: Session | None) -> None:
        """Keep the session; None: forget it."""
        self._session = session

    def lock(self) -> AbstractContextManager[object]:
        """Keep whoever shares this store from refreshing meanwhile."""
        return self._lock


class FileStore:
    """Keeps a session in a file that its owner alone can read; processes of one machine may share it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).expanduser()
        self._lock_path = self._path.with_name(f"{self._path.name}.lock")

    def load(self) -> Session | None:
        """Return the session in the file; None where there is none, or nothing that is one."""
        try:
            return Session(**json.loads(self._path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def save(self, session: Session | None) -> None:
        """Put the session in the file's place in one step, so that no reader and no crash finds half of one."""
        if session is None:
            self._path.unlink(missing_ok=True)
            return
        self._make_folder()
        # Made by mkstemp, it is readable by its owner alone from the start.
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

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from refreshing meanwhile.

        Raises AuthError where one of them never lets go.
        """
        self._make_folder()
        lock = FileLock(self._lock_path, mode=0o600, timeout=LOCK_TIMEOUT, is_singleton=False)
        try:
            lock.acquire()
        except Timeout:
            raise AuthError("locked", f"Another process holds {self._lock_path}.") from None
        try:
            yield
        finally:
            lock.release()

    def _make_folder(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
