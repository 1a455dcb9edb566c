"""What happened to an account: one row for each thing, for its owner and for administrators."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

from django.db import IntegrityError, connection, models, transaction

from accounts.models.users import NO_USER_ID, User
from accounts.values.clients import USER_AGENT_LENGTH

# Written out: Django puts it together anew each time, which was a fifth of what a sign-in took beside the hash.
_COUNT_LAST_DAY = """
    SELECT count(*) FROM
        (SELECT 1 FROM accounts_activity WHERE user_id = %s AND event = %s AND "at" > %s LIMIT %s) AS last_day
"""


class ActivityQuerySet(models.QuerySet["Activity"]):
    """Queries on the history."""

    def since(self, start: datetime) -> Self:
        """Keep what happened after a moment: by id, which grows with time, and which the indexes end in."""
        first = Activity.objects.filter(at__gt=start).order_by("at").values_list("pk", flat=True).first()
        return self.none() if first is None else self.filter(pk__gte=first)


class Activity(models.Model):
    """One thing that happened: what (an `events.Event`), when, from where, and by which administrator."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="activity", db_index=False)
    event = models.CharField(max_length=40)
    at = models.DateTimeField("time", db_index=True)
    session_id = models.UUIDField("session", null=True)
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField("device", max_length=USER_AGENT_LENGTH, blank=True)
    by = models.BigIntegerField("administrator", null=True, help_text="The id of the administrator who did it.")
    details = models.JSONField(default=dict, help_text="A reason, role names, a count: no secret, no typed text.")

    objects = ActivityQuerySet.as_manager()

    class Meta:
        verbose_name = "security event"
        indexes = [
            models.Index(fields=["user", "id"], name="activity_by_user"),
            models.Index(fields=["user", "event", "at"], name="activity_by_kind"),
            # For the admin: one kind of event, whosever it is, newest first.
            models.Index(fields=["event", "id"], name="activity_by_event"),
        ]

    def __str__(self) -> str:
        return f"{self.event} of user {self.user_id}"

    @property
    def is_by_administrator(self) -> bool:
        """Whether somebody else than the user did it, whose address is none of the user's business."""
        return self.by is not None and self.by != self.user_id

    def store(self, *, max_per_day: int) -> int | None:
        """Store it, unless there are `max_per_day` of its kind since a day ago.

        Returns how many there were, None where it was not stored. Of simultaneous ones a few more may be stored.
        """
        count = self._count_last_day(max_per_day)
        if count == max_per_day:
            return None
        try:
            self.save(force_insert=True)
        except IntegrityError:
            return None  # The user was deleted in the meantime, and the history too.
        return count

    @classmethod
    def store_all(cls, entries: Sequence[Self]) -> None:
        """Store many at once, and where one of the users was deleted in the meantime those of the others."""
        try:
            with transaction.atomic():
                cls.objects.bulk_create(entries)
        except IntegrityError:
            existing_ids = set(
                User.objects.filter(pk__in=[entry.user_id for entry in entries]).values_list("pk", flat=True)
            )
            cls.objects.bulk_create([entry for entry in entries if entry.user_id in existing_ids])

    def simulate_save(self, *, max_per_day: int) -> None:
        """Take as long as `store` does, for what happened to no user."""
        self.user_id = NO_USER_ID
        self._count_last_day(max_per_day)
        with transaction.atomic():
            # On PostgreSQL the user is looked for at the commit, on SQLite as well: there is none.
            self.save(force_insert=True)
            transaction.set_rollback(True)

    def _count_last_day(self, max_per_day: int) -> int:
        since = connection.ops.adapt_datetimefield_value(self.at - timedelta(days=1))
        with connection.cursor() as cursor:
            cursor.execute(_COUNT_LAST_DAY, [self.user_id, self.event, since, max_per_day])
            count: int = cursor.fetchone()[0]
        return count
