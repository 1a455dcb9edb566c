"""Django's PostgreSQL backend, for a database that goes away and comes back.

A connection that the database has closed meanwhile is replaced before a request meets it, and a database that
accepts what it is asked and never answers is given up: the limits that it keeps itself are of no use then.
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
    """In which a database that did not answer is left alone: who queues for it meanwhile is told at once."""

    def __init__(self) -> None:
        self._ends_at = float("-inf")

    def start(self) -> None:
        self._ends_at = time.monotonic() + COOLDOWN

    def is_active(self) -> bool:
        return time.monotonic() < self._ends_at


_cooldown = _Cooldown()


class Connection(psycopg.Connection[Any]):
    """Waits `answer_timeout` seconds for an answer, and is of no use after one that did not come."""

    answer_timeout: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for what was asked.

        Raises psycopg.OperationalError.
        """
        try:
            return super().wait(gen, interval, self.answer_timeout if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                _cooldown.start()
                self.close()
            raise


class DatabaseWrapper(base.DatabaseWrapper):
    """Knows one option more than Django's: `answer_timeout`, in seconds."""

    def get_connection_params(self) -> dict[str, Any]:
        """Leave out what libpq does not know."""
        params = super().get_connection_params()
        params.pop("answer_timeout", None)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        """Connect.

        Raises psycopg.OperationalError.
        """
        if _cooldown.is_active():
            raise psycopg.OperationalError("The database did not answer a moment ago.")
        self.isolation_level = IsolationLevel.READ_COMMITTED
        try:
            connection = Connection.connect(**conn_params)
        except psycopg.errors.ConnectionTimeout:
            _cooldown.start()
            raise
        connection.answer_timeout = self.settings_dict["OPTIONS"].get("answer_timeout")
        return connection

    def is_usable(self) -> bool:
        """Tell whether the database is still there, without asking it where nothing has failed yet.

        Between two requests it has nothing to say but goodbye: a SELECT would take as long as the request's own.
        """
        if self.errors_occurred or self.connection is None:
            return super().is_usable()
        return not self.connection.closed and not _is_readable(self.connection.fileno())


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
