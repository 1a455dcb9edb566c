"""Whether a session is in force: asked of the database in one statement, or remembered for AUTH_REVOCATION_LAG.

Django compiles a query anew each time it runs, which costs several times what the database takes for this one. So
it is compiled once, and run again with other values.
"""

import time
from datetime import UTC, datetime
from functools import cache, partial
from threading import Lock
from typing import Any, NamedTuple
from uuid import UUID

from cachetools import TTLCache
from django.db import connection, transaction
from django.db.models import F

from accounts.conf import auth_settings
from accounts.models import RefreshToken

CACHE_SIZE = 100_000
"""How many sessions a process remembers: about 30 MiB."""

monotonic = time.monotonic

_SOME_ID = UUID("01234567-89ab-7def-8123-456789abcdef")
_SOME_TIME = datetime(2001, 2, 3, 4, 5, 6, 789, UTC)


class SessionValidity(NamedTuple):
    """What holds of a session that is in force: whose it is, and under which token version."""

    owner_id: int
    token_version: int


class _Remembered(NamedTuple):
    standing: SessionValidity
    asked_at: float


class _Memory:
    """What a process remembers of sessions; of users, when something about them changed here."""

    def __init__(self, lag: float) -> None:
        self._lag = lag
        self._lock = Lock()
        self._sessions: TTLCache[UUID, _Remembered] = TTLCache(CACHE_SIZE, lag, monotonic)
        self._changed_at: TTLCache[int, float] = TTLCache(CACHE_SIZE, lag, monotonic)

    def recall(self, session_id: UUID) -> SessionValidity | None:
        with self._lock:
            found = self._sessions.get(session_id)
            if found is None or monotonic() - found.asked_at >= self._lag:
                return None
            if found.asked_at <= self._changed_at.get(found.standing.owner_id, float("-inf")):
                return None
            return found.standing

    def keep(self, session_id: UUID, standing: SessionValidity, asked_at: float) -> None:
        with self._lock:
            self._sessions[session_id] = _Remembered(standing, asked_at)

    def forget(self, user_id: int) -> None:
        with self._lock:
            self._changed_at[user_id] = monotonic()


def look_up(session_id: UUID, now: datetime) -> SessionValidity | None:
    """Return how a session stands; None for one that is over, expired or unknown, or whose owner is switched off.

    That is at most AUTH_REVOCATION_LAG old, and never older than a change that this process made.
    """
    lag = auth_settings().revocation_lag.total_seconds()
    if not lag:
        return _ask(session_id, now)
    memory = _memory(lag)
    asked_at = monotonic()
    standing = memory.recall(session_id)
    if standing is None:
        standing = _ask(session_id, now)
        if standing is not None:
            memory.keep(session_id, standing, asked_at)
    return standing


def forget(user_id: int) -> None:
    """Ask anew about every session of a user: this process has changed them, the roles or the password."""
    lag = auth_settings().revocation_lag.total_seconds()
    if lag:
        _memory(lag).forget(user_id)
        # And once more when others can see the change: until then what they ask is answered as before.
        transaction.on_commit(partial(_memory(lag).forget, user_id))


@cache
def _memory(lag: float) -> _Memory:
    return _Memory(lag)


def _ask(session_id: UUID, now: datetime) -> SessionValidity | None:
    sql, values = _statement(connection.vendor)
    given: dict[Any, UUID | datetime] = {_SOME_ID: session_id, _SOME_TIME: now}
    with connection.cursor() as cursor:
        cursor.execute(sql, [_prepared(given[value]) if value in given else value for value in values])
        row = cursor.fetchone()
    return None if row is None else SessionValidity(*row)


@cache
def _statement(vendor: str) -> tuple[str, tuple[Any, ...]]:  # noqa: ARG001  SQL and spellings are the vendor's
    """Compile the statement; in its values stand `_SOME_ID` and `_SOME_TIME` where others are to be put."""
    in_force = RefreshToken.objects.live(_SOME_TIME).filter(
        pk=_SOME_ID, owner__is_active=True, owner_stamp=F("owner__security_stamp")
    )
    sql, values = in_force.values_list("owner_id", "owner__token_version").query.sql_with_params()
    spelled = {_prepared(mark): mark for mark in (_SOME_ID, _SOME_TIME)}
    return sql, tuple(spelled.get(value, value) for value in values)


def _prepared(value: UUID | datetime) -> Any:
    field: Any = RefreshToken._meta.get_field("uuid" if isinstance(value, UUID) else "expires_at")
    return field.get_db_prep_value(value, connection)
