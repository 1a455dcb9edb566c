"""Check whether a session is still valid, with one query or from a cache bounded by AUTH_REVOCATION_LAG.

Django compiles a query on every execution, which takes several times as long as the database needs for this one.
The SQL is therefore compiled once and executed with other parameters.
"""

import time
from datetime import UTC, datetime
from functools import cache, partial
from threading import Lock
from typing import Any, NamedTuple
from uuid import UUID

from cachetools import TTLCache
from django.db import connections, transaction
from django.db.models import F

from accounts.conf import auth_settings
from accounts.databases import adapt, alias_of, connection_of, fetch_row
from accounts.models import RefreshToken

CACHE_SIZE = 100_000
"""How many sessions a process caches: about 60 MiB."""

monotonic = time.monotonic

_ID_PLACEHOLDER = UUID("01234567-89ab-7def-8123-456789abcdef")
_TIME_PLACEHOLDER = datetime(2001, 2, 3, 4, 5, 6, 789, UTC)


class SessionValidity(NamedTuple):
    """The owner of a valid session, and the owner's current token version."""

    owner_id: int
    token_version: int


class _CacheEntry(NamedTuple):
    validity: SessionValidity
    queried_at: float


class _ValidityCache:
    """A cache of valid sessions with a maximum age of `lag` seconds.

    An entry is ignored if its owner was invalidated after the entry was queried.
    """

    def __init__(self, lag: float) -> None:
        self._lag = lag
        self._lock = Lock()
        self._entries: TTLCache[UUID, _CacheEntry] = TTLCache(CACHE_SIZE, lag, monotonic)
        self._invalidated_at: TTLCache[int, float] = TTLCache(CACHE_SIZE, lag, monotonic)

    def get(self, session_id: UUID) -> SessionValidity | None:
        with self._lock:
            entry = self._entries.get(session_id)
            if entry is None or monotonic() - entry.queried_at >= self._lag:
                return None
            if entry.queried_at <= self._invalidated_at.get(entry.validity.owner_id, float("-inf")):
                return None
            return entry.validity

    def add(self, session_id: UUID, validity: SessionValidity, queried_at: float) -> None:
        with self._lock:
            self._entries[session_id] = _CacheEntry(validity, queried_at)

    def invalidate(self, user_id: int) -> None:
        with self._lock:
            self._invalidated_at[user_id] = monotonic()


def look_up(session_id: UUID, now: datetime) -> SessionValidity | None:
    """Return the owner and token version of a valid session, or None if the session is not valid.

    A session is not valid if it has ended or expired or was never stored, or if its owner is inactive or has
    changed their password without keeping the session. The result is at most AUTH_REVOCATION_LAG old, and never
    older than a change made by this process.
    """
    lag = auth_settings().revocation_lag.total_seconds()
    if not lag:
        return _query(session_id, now)
    remembered = _validity_cache(lag)
    queried_at = monotonic()
    validity = remembered.get(session_id)
    if validity is None:
        validity = _query(session_id, now)
        if validity is not None:
            remembered.add(session_id, validity, queried_at)
    return validity


def forget(user_id: int) -> None:
    """Drop the cached validity of every session of a user. Call it after changing sessions, roles or password."""
    lag = auth_settings().revocation_lag.total_seconds()
    if lag:
        _validity_cache(lag).invalidate(user_id)
        # Repeat after the commit: until then, other threads query, and cache, the state from before the change.
        transaction.on_commit(partial(_validity_cache(lag).invalidate, user_id), using=alias_of(RefreshToken))


@cache
def _validity_cache(lag: float) -> _ValidityCache:
    return _ValidityCache(lag)


def _query(session_id: UUID, now: datetime) -> SessionValidity | None:
    connection = connection_of(RefreshToken)
    sql, values = _statement(connection.alias, connection.vendor)
    parameters = {_ID_PLACEHOLDER: adapt(connection, session_id), _TIME_PLACEHOLDER: adapt(connection, now)}
    row = fetch_row(connection, sql, [parameters.get(value, value) for value in values])
    return None if row is None else SessionValidity(*row)


@cache
def _statement(alias: str, vendor: str) -> tuple[str, tuple[Any, ...]]:  # noqa: ARG001  a cache key: SQL depends on it
    """Compile the query, and return its SQL and its parameters, which contain the two placeholders."""
    valid_sessions = RefreshToken.objects.live(_TIME_PLACEHOLDER).filter(
        pk=_ID_PLACEHOLDER, owner__is_active=True, owner_stamp=F("owner__security_stamp")
    )
    query = valid_sessions.values_list("owner_id", "owner__token_version").query
    sql, values = query.get_compiler(alias).as_sql()
    placeholders = {
        adapt(connections[alias], placeholder): placeholder for placeholder in (_ID_PLACEHOLDER, _TIME_PLACEHOLDER)
    }
    return sql, tuple(placeholders.get(value, value) for value in values)
