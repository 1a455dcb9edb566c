"""Django's PostgreSQL backend, extended for databases that restart or freeze, poolers and frequent statements.

A connection that the server has closed is replaced before a request uses it. A server that accepts a query and
never responds is given up after `answer_timeout`, because a frozen server does not enforce its own time limits.

A pooler in transaction mode, such as PgBouncer, gives each transaction any of its connections to the server. What
a session sets there is lost, or meets other clients. Behind one, the role therefore carries the time limits
(`ALTER ROLE … SET`), and neither named prepared statements nor named cursors are used.
"""

import logging
import select
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from psycopg.pq import TransactionStatus

COOLDOWN = 1  # seconds

_TIME_LIMITS = ("statement_timeout", "lock_timeout")
# Poolers reject the startup parameter `options`, so the limits are set after connecting, in one round trip.
_SET_OR_READ_LIMIT = (
    "CASE WHEN pg_backend_pid() = %(pid)s AND %(limit)s::text IS NOT NULL"
    " THEN set_config('{0}', %(limit)s::text, false) ELSE current_setting('{0}') END"
)
_LIMIT_TIME = "SELECT pg_backend_pid() <> %(pid)s, " + ", ".join(map(_SET_OR_READ_LIMIT.format, _TIME_LIMITS))

# A prepared statement that the server has dropped, or whose result has other types since a migration.
_STALE_STATEMENT = (psycopg.errors.InvalidSqlStatementName, psycopg.errors.FeatureNotSupported)

logger = logging.getLogger("authproject.postgresql")


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
    has_stale_statement = False

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
        except _STALE_STATEMENT:
            self.has_stale_statement = True
            raise


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's PostgreSQL backend with two more options, in seconds: `answer_timeout` and `time_limit`.

    `time_limit` is PostgreSQL's limit for a statement and for waiting for a lock.
    """

    _is_pooled = False
    _kept_cursors: dict[str, Any]

    def get_connection_params(self) -> dict[str, Any]:
        """Return the parameters for libpq, without the options that libpq does not know."""
        params = super().get_connection_params()
        for name in ("answer_timeout", "time_limit"):
            params.pop(name, None)
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
        self._kept_cursors = {}
        return connection

    def init_connection_state(self) -> None:
        """Set the time limits, and adapt to a pooler.

        A pooler gives its clients process ids of its own, and PostgreSQL reports the real one.
        """
        super().init_connection_state()
        values = {"pid": self.connection.info.backend_pid, "limit": _limit(self.settings_dict["OPTIONS"])}
        self._is_pooled, *limits = self.connection.execute(_LIMIT_TIME, values, prepare=False).fetchone()
        if self._is_pooled:
            self.connection.prepare_threshold = None
            _report_missing_limits(limits)

    def chunked_cursor(self) -> Any:
        """Return a cursor that fetches rows in chunks, or all at once behind a pooler."""
        self.ensure_connection()
        return self.cursor() if self._is_pooled else super().chunked_cursor()

    def fetch_row(self, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Execute a frequent statement, and return its first row, or None if it returns no row.

        The statement must be a constant: a cursor of psycopg is kept for each one as long as the connection.
        Raises the same exceptions as Django's cursor.
        """
        # A cursor that two threads share could return one thread's row to the other.
        if self.queries_logged or self.execute_wrappers or self.allow_thread_sharing:
            with self.cursor() as cursor:
                cursor.execute(sql, values)
                row: tuple[Any, ...] | None = cursor.fetchone()
                return row
        # The checks of Django's cursor, whose creation costs more than the statement.
        self.close_if_health_check_failed()
        self.ensure_connection()
        self.validate_thread_sharing()
        self.validate_no_broken_transaction()
        with self.wrap_database_errors:
            return self._fetch_row(sql, values)

    def _fetch_row(self, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> tuple[Any, ...] | None:
        cursor = self._kept_cursors.get(sql)
        if cursor is None:
            cursor = self._kept_cursors[sql] = self.create_cursor()
        try:
            cursor.execute(sql, values)
        except _STALE_STATEMENT:
            if not self.connection.autocommit:
                raise  # the transaction has failed
            cursor.execute(sql, values, prepare=False)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row

    def is_usable(self) -> bool:
        """Return whether the connection can be used, without a query unless an error occurred before.

        Between requests, the server sends data only when it closes the connection. Django's `SELECT 1` would take
        as long as the query of a protected request.
        """
        # A stale prepared statement stays: psycopg would execute it again.
        if self.connection is None or self.connection.has_stale_statement:
            return False
        if self.errors_occurred:
            return super().is_usable()
        return not self.connection.closed and not _is_readable(self.connection.fileno())


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _limit(options: dict[str, Any]) -> str | None:
    # Limits that the operator passes as `options` are kept.
    return None if "options" in options or "time_limit" not in options else f"{options['time_limit']}s"


def _report_missing_limits(limits: list[str]) -> None:
    missing = [name for name, limit in zip(_TIME_LIMITS, limits, strict=True) if limit == "0"]
    if missing:
        logger.error("The database's time limits are off: set them with ALTER ROLE.", extra={"missing": missing})
