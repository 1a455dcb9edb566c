"""Sessions: one row each, and the changes that touch that table alone."""

from datetime import UTC, datetime
from typing import Self

from django.db import models

from accounts.fields import RoleNames, UtcDate, new_session_id
from accounts.models.users import User
from accounts.values.clients import USER_AGENT_LENGTH


class EndReason(models.TextChoices):
    """Why a session is over before its time."""

    SIGNED_OUT = "signed_out", "signed out"
    ENDED_BY_OWNER = "ended_by_owner", "by its owner, from another device"
    REVOKED_BY_SERVICE = "revoked_by_service", "by a service"
    SIGNED_OUT_EVERYWHERE = "signed_out_everywhere", "signed out everywhere"
    REVOKED = "revoked", "by an administrator"
    REUSED = "reused", "a used refresh token came back"
    DEACTIVATED = "deactivated", "owner deactivated"
    PASSWORD_CHANGED = "password_changed", "password changed"


class SessionState(models.TextChoices):
    """What a session is at a moment."""

    LIVE = "live", "live"
    EXPIRED = "expired", "expired"
    ENDED = "ended", "revoked"


class RefreshTokenQuerySet(models.QuerySet["RefreshToken"]):
    """Queries on sessions, and the changes that a whole set of them undergoes."""

    def live(self, now: datetime) -> Self:
        """Keep the sessions that can still be refreshed, as far as their own rows tell."""
        return self.filter(ended_at=None, expires_at__gt=now)

    def with_valid_owner(self) -> Self:
        """Keep the sessions whose owner is active and has the password that they began with.

        A scalar subquery, which no planner turns into a join of everything with everything.
        """
        owner = User.objects.filter(pk=models.OuterRef("owner_id"))
        is_valid = models.Q(is_active=True, security_stamp=models.OuterRef("owner_stamp"))
        validity = owner.values_list(models.ExpressionWrapper(is_valid, models.BooleanField()))
        return self.filter(models.Subquery(validity, output_field=models.BooleanField()))

    def expiring_today_or_later(self, now: datetime) -> Self:
        """Keep those whose time may not be over, by their day: for lists, where an index has to answer."""
        return self.filter(expires_on__gte=now.astimezone(UTC).date())

    def expired(self, now: datetime) -> Self:
        """Keep the sessions whose time is over; nothing brings one back."""
        return self.filter(expires_on__lte=now.astimezone(UTC).date(), expires_at__lte=now)

    def end(self, reason: EndReason, *, at: datetime) -> int:
        """End those that are not over yet, in one statement; return how many."""
        return self.filter(ended_at=None).update(ended_at=at, end_reason=reason)

    def with_owner(self) -> Self:
        """Fetch the owner and the names of the owner's roles in the same query."""
        return self.select_related("owner").annotate(fetched_role_names=RoleNames("owner_id"))


class RefreshToken(models.Model):
    """One session: one sign-in on one device, one row for as long as it lives, however often it is refreshed."""

    uuid = models.UUIDField(primary_key=True, default=new_session_id, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    expires_at = models.DateTimeField("expires", help_text="When the refresh token is too old.")
    # The day alone stands in an index, and changes once a day: all other refreshes change nothing that does, and
    # PostgreSQL leaves the indexes alone (a heap-only tuple).
    expires_on = models.GeneratedField(
        expression=UtcDate("expires_at"), output_field=models.DateField(), db_persist=True, db_index=True
    )
    session_expires_at = models.DateTimeField(help_text="When the session is over, whatever is refreshed.")
    created_at = models.DateTimeField("created")
    authenticated_at = models.DateTimeField(help_text="When the password was last asked for: `auth_time`.")
    last_used_at = models.DateTimeField("last used")
    rotated_at = models.DateTimeField(null=True, help_text="When the current generation began.")
    generation = models.PositiveIntegerField(default=0)
    secret_digest = models.BinaryField(max_length=32, help_text="The SHA-256 of the current secret.")
    owner_stamp = models.BigIntegerField(help_text="The owner's security stamp that the session stands on.")
    ended_at = models.DateTimeField("ended", null=True)
    end_reason = models.CharField(max_length=24, choices=EndReason, blank=True)
    address = models.GenericIPAddressField(null=True, db_index=True, help_text="Where the sign-in came from.")
    user_agent = models.CharField("device", max_length=USER_AGENT_LENGTH, blank=True)

    objects = RefreshTokenQuerySet.as_manager()

    class Meta:
        verbose_name = "session"
        indexes = [
            # For the admin's filters: newest first, by reason, among the few that were ended.
            models.Index(fields=["end_reason", "uuid"], condition=~models.Q(ended_at=None), name="session_ended"),
        ]

    def __str__(self) -> str:
        return f"session {self.uuid}"

    @property
    def has_ended(self) -> bool:
        """Whether it was ended, or its owner deactivated, or the owner's password changed under it."""
        return (
            self.ended_at is not None or not self.owner.is_active or self.owner_stamp != self.owner.security_stamp
        )

    @property
    def end_reason_label(self) -> str:
        """Say in words why the session is over, where it was ended."""
        if self.end_reason:
            return EndReason(self.end_reason).label
        if not self.owner.is_active:
            return EndReason.DEACTIVATED.label
        return EndReason.PASSWORD_CHANGED.label

    def state(self, now: datetime) -> SessionState:
        """Tell what the session is at the moment `now`."""
        if self.has_ended:
            return SessionState.ENDED
        return SessionState.EXPIRED if self.expires_at <= now else SessionState.LIVE
