"""The outbox of back-channel logout: applications that must still be notified of the end of a session."""

from datetime import datetime
from functools import partial
from typing import Any, Self

from django.db import models, transaction
from django.dispatch import Signal

from accounts.databases import PrimaryQuerySet, alias_of, atomic
from accounts.fields import new_session_id
from accounts.models.applications import CLIENT_ID_LENGTH

deliveries_queued = Signal()
"""Sent when a transaction that queued deliveries is committed, with the model as the sender."""


class LogoutDeliveryQuerySet(PrimaryQuerySet["LogoutDelivery"]):
    """Queries on logout deliveries."""

    def enqueue(self, sessions: models.QuerySet[Any], at: datetime) -> None:
        """Store a delivery for each of the ended sessions whose application has a back-channel logout URI.

        Call it in the transaction that ends the sessions. A session has one delivery, even if it is called again.
        """
        notified = sessions.exclude(application=None).exclude(application__backchannel_logout_uri="")
        columns = notified.values_list("uuid", "owner_id", "application_id", "application__backchannel_logout_uri")
        rows = [
            LogoutDelivery(
                client_id=client_id,
                uri=uri,
                session_id=session_id,
                subject=str(owner_id),
                created_at=at,
                next_attempt_at=at,
            )
            for session_id, owner_id, client_id, uri in columns
        ]
        if rows:
            self.bulk_create(rows, ignore_conflicts=True)
            send = partial(deliveries_queued.send_robust, sender=LogoutDelivery)
            transaction.on_commit(send, using=alias_of(LogoutDelivery), robust=True)

    def due(self, now: datetime) -> Self:
        """Filter to deliveries whose next attempt is due. Those that a process is attempting are not."""
        return self.filter(next_attempt_at__lte=now)

    def lease(self, now: datetime, until: datetime, *, at_most: int) -> list["LogoutDelivery"]:
        """Reserve some deliveries that are due for the caller, and return them.

        Of simultaneous callers, one gets a delivery. It is due again at the time `until`, if it still exists then.
        """
        with atomic(LogoutDelivery):
            candidates = list(self.due(now).order_by("next_attempt_at", "pk")[:at_most])
            return [delivery for delivery in candidates if delivery.move(until)]


class LogoutDelivery(models.Model):
    """A logout token that must be delivered to an application. It is deleted once it is delivered.

    It has no foreign key, because it outlives its session, and may outlive its application.
    """

    id = models.UUIDField(primary_key=True, default=new_session_id, editable=False)
    client_id = models.CharField(max_length=CLIENT_ID_LENGTH, help_text="The application: the `aud` claim.")
    uri = models.TextField(help_text="The back-channel logout URI of the application when the session ended.")
    session_id = models.UUIDField("session", unique=True)
    subject = models.CharField(max_length=40, help_text="The `sub` claim: the id of the session's owner.")
    created_at = models.DateTimeField("created")
    next_attempt_at = models.DateTimeField("next attempt", db_index=True)
    attempts = models.PositiveIntegerField(default=0)

    objects = LogoutDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "logout deliveries"
        default_permissions = ("view", "change")
        indexes = [models.Index(fields=["client_id", "next_attempt_at"], name="logout_by_receiver")]

    def __str__(self) -> str:
        return f"the logout of session {self.session_id} for {self.client_id}"

    def move(self, to: datetime, *, failures: int = 0) -> bool:
        """Set the time of the next attempt, and count failed attempts, unless another process did since.

        Returns whether this call did.
        """
        unchanged = LogoutDelivery.objects.filter(pk=self.pk, next_attempt_at=self.next_attempt_at)
        if not unchanged.update(next_attempt_at=to, attempts=models.F("attempts") + failures):
            return False
        self.next_attempt_at, self.attempts = to, self.attempts + failures
        return True
