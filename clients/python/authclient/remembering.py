"""A store around another one that may fail: what cannot be stored is remembered."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from authclient.failures import Failure
from authclient.stores import Session, Store


class RememberingStore:
    """Loads and saves the session of a store. If that raises OSError, the session in memory is used."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._session: Session | None = None
        self._is_unsaved = False
        self._saved_instead: Session | None = None
        self._failure: Failure | None = None
        self._failure_end = 0.0

    def load(self) -> Session | None:
        """Return the stored session, or the one in memory if it is newer or the store cannot be read."""
        try:
            stored = self._store.load()
        except OSError:
            return self._session
        if self._is_unsaved and stored == self._saved_instead:
            return self._session
        self._is_unsaved = False
        self._session = stored
        return stored

    def save(self, session: Session | None) -> None:
        """Store the session, or remember it if that fails, for example because the disk is full."""
        self._session = session
        self._is_unsaved = not self._save(session)
        if self._is_unsaved:
            # Another process must not present the old refresh token, which would count as reused.
            self._save(None)
            self._saved_instead = self._stored()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the store, if it can be locked.

        Raises AuthError (`locked`).
        """
        with ExitStack() as stack:
            # A folder in which no file can be locked is one in which no process can store a session.
            with suppress(OSError):
                stack.enter_context(self._store.lock())
            yield

    def failure(self) -> Failure | None:
        """Return the last failure, of this process or another one."""
        try:
            failure: Failure | None = getattr(self._store, "load_failure", self._last_failure)()
        except OSError:
            failure = self._failure
        if failure is not None and (self._failure is None or failure.id != self._failure.id):
            self._remember_failure(failure)
        return self._failure

    def blocking_failure(self) -> Failure | None:
        """Return the last failure while no request may be sent because of it.

        The time counts from when this process learned of the failure, by a clock that cannot be set.
        """
        failure = self.failure()
        return failure if failure is not None and time.monotonic() < self._failure_end else None

    def record_failure(self, failure: Failure) -> None:
        """Remember a failure, and share it with the processes that wait for the lock."""
        self._remember_failure(failure)
        with suppress(OSError):  # Otherwise, the others try by themselves.
            getattr(self._store, "save_failure", self._remember_failure)(failure)

    def allow_requests(self) -> None:
        """End the pause after the last failure, because a request has succeeded."""
        self._failure_end = 0.0

    def _remember_failure(self, failure: Failure) -> None:
        self._failure = failure
        self._failure_end = time.monotonic() + failure.remaining()

    def _last_failure(self) -> Failure | None:
        return self._failure

    def _save(self, session: Session | None) -> bool:
        try:
            self._store.save(session)
        except OSError:
            return False
        return True

    def _stored(self) -> Session | None:
        try:
            return self._store.load()
        except OSError:
            return None
