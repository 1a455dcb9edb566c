"""Deletes expired rows in bounded batches, while the service is running."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import OperationalError, connections, models
from django.utils import timezone
from tenacity import RetryCallState, retry, retry_if_exception_type, stop_after_attempt

from accounts.conf import auth_settings
from accounts.databases import atomic
from accounts.errors import AccountInUse
from accounts.models import (
    Activity,
    Authenticator,
    AuthorizationCode,
    GuessCount,
    Invitation,
    KnownOrigin,
    PendingSignIn,
    RefreshToken,
    RefreshTokenQuerySet,
    SessionKind,
    UsedChallenge,
    User,
)
from accounts.passwords import equal_cost
from accounts.users import deletion
from accounts.values.clients import NO_CLIENT

logger = logging.getLogger("accounts.purge")

KNOWN_DEVICE_LIFETIME = timedelta(days=365)
UNVERIFIED_SIGN_UP_LIFETIME = timedelta(days=7)
UNCONFIRMED_FACTOR_LIFETIME = timedelta(days=1)
CODE_REUSE_DETECTION = timedelta(days=1)

# SKIP LOCKED leaves the rows that another purge is deleting to that purge. PostgreSQL evaluates an array once, but
# may evaluate the subquery of an IN again for each row. Each evaluation would skip the rows locked before and
# return others, so that the batch would be unbounded.
_KEY_CONDITIONS = {"postgresql": "= ANY(ARRAY({} FOR UPDATE SKIP LOCKED))"}


def expired_sessions(retain: timedelta) -> tuple[RefreshTokenQuerySet, RefreshTokenQuerySet]:
    """Return the sessions that expired at least `retain` ago. An expired session never becomes valid again.

    The second part are the sign-ins of browsers. One is left out while sessions that came of it are valid: a
    sign-out ends these by it. With that condition, a statement takes half as long again, and most sessions are in
    the first part.
    """
    cutoff: datetime = timezone.now() - retain
    expired, is_browser = RefreshToken.objects.expired(cutoff), models.Q(kind=SessionKind.BROWSER)
    # Not Exists(): for each batch, PostgreSQL would read all live sessions into a hash table first.
    came_of_it = RefreshToken.objects.live(cutoff).filter(parent=models.OuterRef("pk")).values("pk")[:1]
    unneeded = expired.filter(is_browser).alias(came_of_it=models.Subquery(came_of_it)).filter(came_of_it=None)
    return expired.exclude(is_browser), unneeded


def delete_expired_sessions(retain: timedelta, batch_size: int) -> Iterator[int]:
    """Delete `expired_sessions`, one batch per transaction. Yields the number of rows that each batch deleted."""
    for rows in expired_sessions(retain):
        yield from delete_in_batches(rows, batch_size)


def other_expired_rows() -> Mapping[str, models.QuerySet[Any]]:
    """Return the other rows to delete, by a description for the command's output."""
    now: datetime = timezone.now()
    return {
        "expired counters of failed attempts": GuessCount.objects.filter(resets_at__lte=now.timestamp()),
        # A sign-in from a known network or device renews its `since`.
        "networks and devices not seen for a year": KnownOrigin.objects.filter(
            since__lte=now - KNOWN_DEVICE_LIFETIME
        ),
        "expired invitations": Invitation.objects.filter(expires_at__lte=now),
        "unconfirmed authenticator apps": Authenticator.objects.filter(
            confirmed_at=None, created_at__lte=now - UNCONFIRMED_FACTOR_LIFETIME
        ),
        "expired sign-ins that waited for a second factor": PendingSignIn.objects.filter(expires_at__lte=now),
        # Until then, a second use of a code is recognized, and ends the session that the first one opened.
        "authorization codes": AuthorizationCode.objects.filter(expires_at__lte=now - CODE_REUSE_DETECTION),
        "expired challenges for passkeys": UsedChallenge.objects.filter(expires_at__lte=now),
        "security events": Activity.objects.filter(at__lte=now - auth_settings().activity_lifetime),
    }


def delete_unverified_sign_ups(batch_size: int) -> Iterator[int]:
    """Delete the accounts that had to be verified before the first sign-in and were not, including decoy accounts.

    Each batch is a separate transaction. Yields the number of accounts that each batch deleted. Accounts that
    other rows protect are not deleted.
    """
    last_id = 0
    abandoned = User.objects.get_queryset().filter(pending_since__lte=timezone.now() - UNVERIFIED_SIGN_UP_LIFETIME)
    while batch := list(abandoned.filter(pk__gt=last_id).order_by("pk").values_list("pk", flat=True)[:batch_size]):
        last_id = batch[-1]
        with atomic(User):
            # Checked again under a lock, because an account may have been verified since it was selected.
            users = list(abandoned.filter(pk__in=batch).select_for_update())
            deleted = sum(_delete_unless_in_use(user) for user in users)
        yield deleted


def _delete_unless_in_use(user: User) -> bool:
    try:
        deletion.delete(user, NO_CLIENT)
    except AccountInUse:
        logger.warning("User %s has an unverified sign-up, but other rows protect it: it is not deleted.", user.pk)
        return False
    return True


def forget_costs_of_imported_hashes() -> None:
    """End the work that failed sign-ins do for imported hashes, if no user has such a hash any more."""
    equal_cost.forget()


def delete_in_batches(rows: models.QuerySet[Any], batch_size: int) -> Iterator[int]:
    """Delete rows, one batch per transaction, and yield the number of rows that each batch deleted.

    No foreign key may refer to the rows: they are deleted in plain SQL, without Django's cascade.
    """
    try:
        statement, parameters = _delete_statement(rows, batch_size)
    except EmptyResultSet:  # a filter that matches no row, for example in the admin
        return
    while deleted := _delete_batch(rows.db, statement, parameters):
        yield deleted


def _delete_statement(rows: models.QuerySet[Any], batch_size: int) -> tuple[str, Sequence[Any]]:
    # One statement for all batches: the ORM would compile it for each batch, and open a transaction for each.
    batch, parameters = rows.order_by().values("pk")[:batch_size].query.get_compiler(rows.db).as_sql()
    table, key = rows.model._meta.db_table, rows.model._meta.pk.column
    key_condition = _KEY_CONDITIONS.get(connections[rows.db].vendor, "IN ({})").format(batch)
    return f"DELETE FROM {table} WHERE {key} {key_condition}", parameters  # noqa: S608  the names are ours


def _reconnect_if_lost(state: RetryCallState) -> None:
    connection = connections[state.args[0]]
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


# A batch is retried for two reasons. While the service writes continuously, SQLite's lock is free only for
# moments, and a waiting purge may miss all of them. And PostgreSQL may have been restarted between two batches.
@retry(
    retry=retry_if_exception_type(OperationalError),
    stop=stop_after_attempt(6),
    before_sleep=_reconnect_if_lost,
    reraise=True,
)
def _delete_batch(alias: str, statement: str, parameters: Sequence[Any]) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, parameters)
        deleted: int = cursor.rowcount
    return deleted
