"""Sessions: the model, its queries, and changes to its table."""

from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from django.db import models
from django.utils import timezone

from accounts.databases import PrimaryQuerySet, atomic
from accounts.fields import RoleNames, UtcDate, new_session_id
from accounts.models.applications import Application
from accounts.models.logout_deliveries import LogoutDelivery
from accounts.models.users import User
from accounts.values.authentication import METHODS_LENGTH, PASSWORD_METHOD, Authentication
from accounts.values.clients import USER_AGENT_LENGTH


class EndReason(models.TextChoices):
    """Why a session was ended before it expired."""

    SIGNED_OUT = "signed_out", "signed out"
    ENDED_BY_OWNER = "ended_by_owner", "by its owner, from another device"
    REVOKED_BY_SERVICE = "revoked_by_service", "by a service"
    SIGNED_OUT_EVERYWHERE = "signed_out_everywhere", "signed out everywhere"
    REVOKED = "revoked", "by an administrator"
    REUSED = "reused", "refresh token reused"
    DEACTIVATED = "deactivated", "owner deactivated"
    PASSWORD_CHANGED = "password_changed", "password changed"
    LIMIT_REACHED = "limit_reached", "too many sessions"
    SECOND_FACTOR_ADDED = "second_factor_added", "second factor added"
    SECOND_FACTORS_RESET = "second_factors_reset", "second factors reset"
    SECOND_FACTOR_REMOVED = "second_factor_removed", "second factor removed"
    CODE_REUSED = "code_reused", "authorization code reused"
    APPLICATION_DELETED = "application_deleted", "application deleted"


class SessionKind(models.TextChoices):
    """What the holder of a session has: tokens, or a cookie of the hosted pages."""

    TOKENS = "tokens", "tokens"
    BROWSER = "browser", "single sign-on in a browser"


class SessionState(models.TextChoices):
    """The state of a session at a given time."""

    LIVE = "live", "live"
    EXPIRED = "expired", "expired"
    ENDED = "ended", "revoked"


class RefreshTokenQuerySet(PrimaryQuerySet["RefreshToken"]):
    """Queries on sessions, and changes to a set of them."""

    def live(self, now: datetime) -> Self:
        """Filter to sessions that have neither ended nor expired. The state of the owner is not considered."""
        return self.filter(ended_at=None, expires_at__gt=now)

    def with_valid_owner(self) -> Self:
        """Filter to sessions whose owner is active and has not changed their password since signing in.

        The condition is a scalar subquery, which no query planner turns into a join of both whole tables.
        """
        owner = User.objects.filter(pk=models.OuterRef("owner_id"))
        is_valid = models.Q(is_active=True, security_stamp=models.OuterRef("owner_stamp"))
        validity = owner.values_list(models.ExpressionWrapper(is_valid, models.BooleanField()))
        return self.filter(models.Subquery(validity, output_field=models.BooleanField()))

    def expiring_today_or_later(self, now: datetime) -> Self:
        """Filter to sessions that expire today (UTC) or later.

        The filter uses the index on the day, and may include sessions that expired earlier today.
        """
        return self.filter(expires_on__gte=now.astimezone(UTC).date())

    def expired(self, now: datetime) -> Self:
        """Filter to sessions that have expired. An expired session cannot be refreshed or extended."""
        return self.filter(expires_on__lte=now.astimezone(UTC).date(), expires_at__lte=now)

    def other_than(self, session_id: UUID | None) -> Self:
        """Leave out the session with this id, if any."""
        return self if session_id is None else self.exclude(pk=session_id)

    def end(self, reason: EndReason, *, at: datetime, surviving: UUID | None = None) -> int:
        """End the sessions that have not ended yet, except `surviving`, and return how many were ended.

        With the sign-in of a browser end the sessions of applications that came of it, which are not counted.
        Applications that must be notified are stored in the same transaction. The selection must not depend on
        whether sessions have ended.
        """
        with atomic(RefreshToken):
            selected = self.other_than(surviving)
            count = selected.filter(ended_at=None).update(ended_at=at, end_reason=reason)
            ended = selected.filter(ended_at=at)
            if count and ended.filter(models.Q(kind=SessionKind.BROWSER) | ~models.Q(application=None)).exists():
                _end_with_browsers(ended, reason, at, surviving)
        return count

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the sessions, and notify their applications as their end does."""
        with atomic(RefreshToken):
            _end_before_deletion(self)
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def with_owner(self) -> Self:
        """Fetch the owner and the names of the owner's roles in the same query."""
        return self.select_related("owner").annotate(fetched_role_names=RoleNames("owner_id"))


def _end_with_browsers(
    ended: RefreshTokenQuerySet, reason: EndReason, at: datetime, surviving: UUID | None
) -> None:
    # A statement of its own, after the browsers' rows were changed: a session that came of one was opened under a
    # lock on its row, so that it is either found here, or not opened any more.
    children = RefreshToken.objects.filter(parent__in=ended.filter(kind=SessionKind.BROWSER).values("pk"))
    children.filter(ended_at=None).other_than(surviving).update(ended_at=at, end_reason=reason)
    LogoutDelivery.objects.enqueue(ended, at)
    LogoutDelivery.objects.enqueue(children.filter(ended_at=at), at)


def _end_before_deletion(sessions: RefreshTokenQuerySet) -> None:
    # Not `end`, which could change what the queryset selects.
    now = timezone.now()
    browsers = sessions.filter(kind=SessionKind.BROWSER)
    RefreshToken.objects.filter(parent__in=browsers.values("pk")).end(EndReason.REVOKED, at=now)
    LogoutDelivery.objects.enqueue(sessions.live(now).with_valid_owner(), now)


class RefreshToken(models.Model):
    """A session: one sign-in on one device. It is one row for its whole life, however often it is refreshed.

    The sign-in of a browser at the hosted pages is a session too. Sessions of applications that came of it name it
    as their `parent`, and end with it.
    """

    uuid = models.UUIDField(primary_key=True, default=new_session_id, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    expires_at = models.DateTimeField("expires", help_text="When the refresh token expires.")
    # Only the day is indexed, and `expires_at` is not. A refresh therefore changes an indexed column at most once
    # a day, and PostgreSQL need not update the indexes for the others (a heap-only tuple update).
    expires_on = models.GeneratedField(
        expression=UtcDate("expires_at"), output_field=models.DateField(), db_persist=True, db_index=True
    )
    session_expires_at = models.DateTimeField(help_text="When the session expires, however often it is refreshed.")
    created_at = models.DateTimeField("created")
    authenticated_at = models.DateTimeField(
        help_text="When the user last entered the password: the `auth_time` claim."
    )
    last_used_at = models.DateTimeField("last used")
    rotated_at = models.DateTimeField(null=True, help_text="When the refresh token was last rotated.")
    generation = models.PositiveIntegerField(default=0)
    secret_digest = models.BinaryField(max_length=32, help_text="The SHA-256 of the current secret.")
    owner_stamp = models.BigIntegerField(
        help_text="The owner's security stamp. If the owner's changes, the session is revoked."
    )
    ended_at = models.DateTimeField("ended", null=True)
    end_reason = models.CharField(max_length=24, choices=EndReason, blank=True)
    # The database has the default too: during an upgrade, the previous release inserts sessions without the value.
    remember = models.BooleanField(
        default=True, db_default=True, help_text="Whether the browser stays signed in after it is closed."
    )
    authentication_methods = models.CharField(
        max_length=METHODS_LENGTH,
        default=PASSWORD_METHOD,
        db_default=PASSWORD_METHOD,
        help_text="How the user authenticated: the `amr` claim (RFC 8176), joined with blanks.",
    )
    second_factor_at = models.DateTimeField(
        "second factor", null=True, help_text="When the user last presented a second factor in this session."
    )
    kind = models.CharField(
        max_length=8, choices=SessionKind, default=SessionKind.TOKENS, db_default=SessionKind.TOKENS
    )
    # `application_id` is the client id itself, so that the claims of a refresh need no join.
    application = models.ForeignKey(
        Application,
        null=True,
        on_delete=models.CASCADE,
        to_field="client_id",
        db_index=False,
        related_name="sessions",
        help_text="The application that holds the tokens. None for this service's own endpoints.",
    )
    # Without a constraint, because expired sessions are purged in plain SQL.
    parent = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        related_name="children",
        help_text="The sign-in of the browser that the session came of.",
    )
    scope = models.TextField(default="", db_default="", blank=True, help_text="The `scope` claim of its tokens.")
    address = models.GenericIPAddressField(null=True, db_index=True, help_text="The IP address of the sign-in.")
    user_agent = models.CharField("device", max_length=USER_AGENT_LENGTH, blank=True)

    objects = RefreshTokenQuerySet.as_manager()

    class Meta:
        verbose_name = "session"
        indexes = [
            # For the admin's filter by reason, newest first. Partial, because few sessions are ended.
            models.Index(fields=["end_reason", "uuid"], condition=~models.Q(ended_at=None), name="session_ended"),
            # Partial, so that the sessions of this service's own endpoints add nothing to them.
            models.Index(fields=["parent"], condition=~models.Q(parent=None), name="session_by_parent"),
            models.Index(
                fields=["application", "uuid"],
                condition=~models.Q(application=None),
                name="session_by_application",
            ),
        ]

    def __str__(self) -> str:
        return f"session {self.uuid}"

    def delete(self, *args: Any, **options: Any) -> tuple[int, dict[str, int]]:
        """Delete the session, and notify its application as its end does."""
        with atomic(RefreshToken):
            _end_before_deletion(RefreshToken.objects.filter(pk=self.pk))
            return super().delete(*args, **options)

    @property
    def authentication(self) -> Authentication:
        """How the user authenticated in this session."""
        return Authentication.parse(self.authentication_methods)

    @property
    def has_ended(self) -> bool:
        """Whether the session was ended, its owner was deactivated, or the owner's password was changed."""
        return (
            self.ended_at is not None or not self.owner.is_active or self.owner_stamp != self.owner.security_stamp
        )

    @property
    def end_reason_label(self) -> str:
        """The reason for which the session has ended, for display. Only meaningful if it has ended."""
        if self.end_reason:
            return EndReason(self.end_reason).label
        if not self.owner.is_active:
            return EndReason.DEACTIVATED.label
        return EndReason.PASSWORD_CHANGED.label

    def state(self, now: datetime) -> SessionState:
        """Return the state of the session at the time `now`. Reads the owner."""
        if self.has_ended:
            return SessionState.ENDED
        return SessionState.EXPIRED if self.expires_at <= now else SessionState.LIVE
