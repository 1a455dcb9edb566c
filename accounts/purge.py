"""Deletes what has expired, in bounded batches, beside a running service."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import In
from django.utils import timezone
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from accounts import leaving
from accounts.clients import NO_CLIENT
from accounts.conf import auth_settings
from accounts.models import Activity, GuessCount, KnownOrigin, RefreshToken, RefreshTokenQuerySet, User

ORIGINS_ARE_KNOWN_FOR = timedelta(days=365)
SIGN_UPS_MAY_BE_VERIFIED_FOR = timedelta(days=7)


def purgeable(retain: timedelta) -> RefreshTokenQuerySet:
    """Find the sessions that expired at least `retain` ago. None of them can come back to life."""
    cutoff: datetime = timezone.now() - retain
    return RefreshToken.objects.expired(cutoff)


def leftovers() -> Mapping[str, models.QuerySet[Any]]:
    """Find, with words for each, what else is past its time."""
    now: datetime = timezone.now()
    return {
        "counters whose window is over": GuessCount.objects.filter(resets_at__lte=now.timestamp()),
        # The next sign-in from one keeps it anew.
        "networks and devices that were known for a year": KnownOrigin.objects.filter(
            since__lte=now - ORIGINS_ARE_KNOWN_FOR
        ),
        "security events": Activity.objects.filter(at__lte=now - auth_settings().activity_lifetime),
    }


def delete_abandoned_sign_ups(batch_size: int) -> Iterator[int]:
    """Delete the accounts that had to be verified before a first sign-in, and were not; decoys are among them.

    Each batch is a transaction of its own; yields how many each one deleted.
    """
    abandoned = User.objects.get_queryset().filter(
        pending_since__lte=timezone.now() - SIGN_UPS_MAY_BE_VERIFIED_FOR
    )
    while batch := list(abandoned.values_list("pk", flat=True)[:batch_size]):
        with transaction.atomic():
            # The condition once more, under a lock: one may have been verified since it was read.
            users = list(abandoned.filter(pk__in=batch).select_for_update())
            for user in users:
                leaving.delete(user, NO_CLIENT)
        yield len(users)


def delete_in_batches(rows: models.QuerySet[Any], batch_size: int) -> Iterator[int]:
    """Delete rows, each batch in a transaction of its own; yield how many each one deleted."""
    while deleted := _delete_batch(rows, batch_size):
        yield deleted


class _InOnce(In):
    """`IN` a query that is run once, however the database plans the statement around it.

    PostgreSQL may run the query of an `IN` again for each row, and one that skips the locked and has a limit then
    finds other rows each time: a batch without a bound.
    """

    def get_rhs_op(self, connection: BaseDatabaseWrapper, rhs: str) -> str:
        return f"= ANY(ARRAY{rhs})" if connection.vendor == "postgresql" else super().get_rhs_op(connection, rhs)


# Where a service writes without a pause, SQLite's lock is free for moments only: whoever waits may miss them all.
@retry(retry=retry_if_exception_type(OperationalError), stop=stop_after_attempt(6), reraise=True)
def _delete_batch(rows: models.QuerySet[Any], batch_size: int) -> int:
    # What another purge is at is left to it.
    batch = rows.order_by().select_for_update(skip_locked=True).values("pk")[:batch_size]
    deleted: int = rows.model._default_manager.filter(_InOnce(models.F("pk"), batch.query)).delete()[0]
    return deleted
