"""Django's PostgreSQL backend, extended for a database that restarts or freezes.

A connection that the server has closed is replaced before a request uses it. A server that accepts a query and
never responds is given up after `answer_timeout`, because a frozen server does not enforce its own time limits.
"""

import select
import time
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from psycopg.pq import TransactionStatus

COOLDOWN = 1  # seconds


class _Cooldown:
    """A pause after a timeout, in which connection attempts fail immediately instead of queueing."""

    def __init__(self) -> None:
        self._ends_at = float("-inf")

    def start(self) -> None:
        self._ends_at = time.monotonic() + COOLDOWN

    def is_active(self) -> bool:
        return time.monotonic() < self._ends_at


_cooldown = _Cooldown()


class Connection(psycopg.Connection[Any]):
    """Closes itself if the server does not respond within `answer_timeout` seconds."""

    answer_timeout: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server's response.

        Raises psycopg.OperationalError after the timeout.
        """
        try:
            return super().wait(gen, interval, self.answer_timeout if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                _cooldown.start()
                self.close()
            raise


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's PostgreSQL backend with one more option: `answer_timeout`, in seconds."""

    def get_connection_params(self) -> dict[str, Any]:
        """Return the parameters for libpq, without the option that libpq does not know."""
        params = super().get_connection_params()
        params.pop("answer_timeout", None)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        """Return a new connection.

        Raises psycopg.OperationalError, immediately during the pause after a timeout.
        """
        if _cooldown.is_active():
            raise psycopg.OperationalError("The database did not respond a moment ago.")
        self.isolation_level = IsolationLevel.READ_COMMITTED
        try:
            connection = Connection.connect(**conn_params)
        except psycopg.errors.ConnectionTimeout:
            _cooldown.start()
            raise
        connection.answer_timeout = self.settings_dict["OPTIONS"].get("answer_timeout")
        return connection

    def is_usable(self) -> bool:
        """Return whether the connection can be used, without a query unless an error occurred before.

        Between requests, the server sends data only when it closes the connection. Django's `SELECT 1` would take
        as long as the query of a protected request.
        """
        if self.errors_occurred or self.connection is None:
            return super().is_usable()
        return not self.connection.closed and not _is_readable(self.connection.fileno())


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
