"""The security history of users: one row for each security event, shown to the user and to administrators."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

from django.db import IntegrityError, models, transaction

from accounts.databases import PrimaryQuerySet, alias_of, atomic, connection_of
from accounts.models.users import NO_USER_ID, User
from accounts.values.clients import USER_AGENT_LENGTH

# Raw SQL, because compiling the query with the ORM took a fifth of the time of a sign-in, not counting the
# password hash.
_COUNT_LAST_DAY = """
    SELECT count(*) FROM
        (SELECT 1 FROM accounts_activity WHERE user_id = %s AND event = %s AND "at" > %s LIMIT %s) AS last_day
"""


class ActivityQuerySet(PrimaryQuerySet["Activity"]):
    """Queries on the security history."""

    def since(self, start: datetime) -> Self:
        """Filter to events after `start`.

        The filter compares ids, which increase with time, because the indexes end with the id.
        """
        first = Activity.objects.filter(at__gt=start).order_by("at").values_list("pk", flat=True).first()
        return self.none() if first is None else self.filter(pk__gte=first)


class Activity(models.Model):
    """A security event: its type (an `events.Event`), its time, its origin, and the administrator who caused it.

    `by` is the id of that administrator, or None if the user or the service acted.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="activity", db_index=False)
    event = models.CharField(max_length=40)
    at = models.DateTimeField("time", db_index=True)
    session_id = models.UUIDField("session", null=True)
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField("device", max_length=USER_AGENT_LENGTH, blank=True)
    by = models.BigIntegerField(
        "administrator", null=True, help_text="The id of the administrator who acted, if any."
    )
    details = models.JSONField(
        default=dict, help_text="Facts such as a reason, role names or a count. Never a secret or user input."
    )

    objects = ActivityQuerySet.as_manager()

    class Meta:
        verbose_name = "security event"
        indexes = [
            models.Index(fields=["user", "id"], name="activity_by_user"),
            models.Index(fields=["user", "event", "at"], name="activity_by_kind"),
            # For the admin's filter: one type of event of all users, newest first.
            models.Index(fields=["event", "id"], name="activity_by_event"),
        ]

    def __str__(self) -> str:
        return f"{self.event} of user {self.user_id}"

    @property
    def is_by_administrator(self) -> bool:
        """Whether an administrator caused the event on another user's account.

        The user is not shown the administrator's IP address and device.
        """
        return self.by is not None and self.by != self.user_id

    def store(self, *, max_per_day: int) -> int | None:
        """Store the event, unless the user already has `max_per_day` events of its type in the last 24 hours.

        Returns how many there were before, or None if the event was not stored. Simultaneous events may exceed the
        limit by a few.
        """
        count = self._count_last_day(max_per_day)
        if count == max_per_day:
            return None
        try:
            self.save(force_insert=True)
        except IntegrityError:
            return None  # the user was deleted in the meantime, together with the history
        return count

    @classmethod
    def store_all(cls, entries: Sequence[Self]) -> None:
        """Store many events in one statement. Events of users who were deleted in the meantime are skipped."""
        try:
            with atomic(Activity):
                cls.objects.bulk_create(entries)
        except IntegrityError:
            existing_ids = set(
                User.objects.filter(pk__in=[entry.user_id for entry in entries]).values_list("pk", flat=True)
            )
            cls.objects.bulk_create([entry for entry in entries if entry.user_id in existing_ids])

    def simulate_save(self, *, max_per_day: int) -> None:
        """Do the same work as `store` for an event without a user, and store nothing.

        The equal duration hides whether an account exists.
        """
        self.user_id = NO_USER_ID
        self._count_last_day(max_per_day)
        with atomic(Activity):
            # No user has this id, but the foreign key is checked only at commit, so the INSERT itself succeeds.
            self.save(force_insert=True)
            transaction.set_rollback(True, using=alias_of(Activity))

    def _count_last_day(self, max_per_day: int) -> int:
        connection = connection_of(Activity)
        since = connection.ops.adapt_datetimefield_value(self.at - timedelta(days=1))
        with connection.cursor() as cursor:
            cursor.execute(_COUNT_LAST_DAY, [self.user_id, self.event, since, max_per_day])
            count: int = cursor.fetchone()[0]
        return count
