"""Deletes what has expired, in bounded batches, beside a running service."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import OperationalError, connection, models, transaction
from django.utils import timezone
from tenacity import RetryCallState, retry, retry_if_exception_type, stop_after_attempt

from accounts.conf import auth_settings
from accounts.models import Activity, GuessCount, KnownOrigin, RefreshToken, RefreshTokenQuerySet, User
from accounts.users import deletion
from accounts.values.clients import NO_CLIENT

KNOWN_DEVICE_LIFETIME = timedelta(days=365)
UNVERIFIED_SIGN_UP_LIFETIME = timedelta(days=7)
# What another purge is at is left to it. An array is filled once; the query of an IN may be run again for each
# row, and finds others each time, for it skips the locked: a batch without a bound.
_KEY_CONDITIONS = {"postgresql": "= ANY(ARRAY({} FOR UPDATE SKIP LOCKED))"}


def expired_sessions(retain: timedelta) -> RefreshTokenQuerySet:
    """Find the sessions that expired at least `retain` ago. None of them can come back to life."""
    cutoff: datetime = timezone.now() - retain
    return RefreshToken.objects.expired(cutoff)


def other_expired_rows() -> Mapping[str, models.QuerySet[Any]]:
    """Find, with words for each, what else is past its time."""
    now: datetime = timezone.now()
    return {
        "counters whose window is over": GuessCount.objects.filter(resets_at__lte=now.timestamp()),
        # The next sign-in from one keeps it anew.
        "networks and devices that were known for a year": KnownOrigin.objects.filter(
            since__lte=now - KNOWN_DEVICE_LIFETIME
        ),
        "security events": Activity.objects.filter(at__lte=now - auth_settings().activity_lifetime),
    }


def delete_unverified_sign_ups(batch_size: int) -> Iterator[int]:
    """Delete the accounts that had to be verified before a first sign-in, and were not; decoys are among them.

    Each batch is a transaction of its own; yields how many each one deleted.
    """
    abandoned = User.objects.get_queryset().filter(pending_since__lte=timezone.now() - UNVERIFIED_SIGN_UP_LIFETIME)
    while batch := list(abandoned.values_list("pk", flat=True)[:batch_size]):
        with transaction.atomic():
            # The condition once more, under a lock: one may have been verified since it was read.
            users = list(abandoned.filter(pk__in=batch).select_for_update())
            for user in users:
                deletion.delete(user, NO_CLIENT)
        yield len(users)


def delete_in_batches(rows: models.QuerySet[Any], batch_size: int) -> Iterator[int]:
    """Delete rows that nothing refers to, a batch in each transaction; yield how many each one deleted."""
    try:
        statement, parameters = _delete_statement(rows, batch_size)
    except EmptyResultSet:  # no database need be asked: a filter of the admin that lets nothing through, say
        return
    while deleted := _delete_batch(statement, parameters):
        yield deleted


def _delete_statement(rows: models.QuerySet[Any], batch_size: int) -> tuple[str, Sequence[Any]]:
    # Written out once: Django puts it together anew each time, and has a transaction begin and end around it.
    batch, parameters = rows.order_by().values("pk")[:batch_size].query.sql_with_params()
    table, key = rows.model._meta.db_table, rows.model._meta.pk.column
    key_condition = _KEY_CONDITIONS.get(connection.vendor, "IN ({})").format(batch)
    return f"DELETE FROM {table} WHERE {key} {key_condition}", parameters  # noqa: S608  the names are ours


def _reconnect_if_lost(_: RetryCallState) -> None:
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


# Where a service writes without a pause, SQLite's lock is free for moments only: whoever waits may miss them all.
# And PostgreSQL may have been restarted between two batches.
@retry(
    retry=retry_if_exception_type(OperationalError),
    stop=stop_after_attempt(6),
    before_sleep=_reconnect_if_lost,
    reraise=True,
)
def _delete_batch(statement: str, parameters: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        deleted: int = cursor.rowcount
    return deleted
