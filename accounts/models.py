"""Users, their roles, and their sessions: fields, constraints, and the changes that touch one table."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.utils import timezone

from accounts.clients import USER_AGENT_LENGTH
from accounts.fields import ComparisonKeyField, RoleNames, new_security_stamp, new_session_id
from accounts.identifiers import EMAIL_LENGTH, USERNAME_LENGTH, comparison_key, normalize, validate_username

DEFAULT_ROLE = "user"


class Role(models.Model):
    """Something a user may be allowed to do, by name: user, moderator and admin exist from the start."""

    name = models.CharField(
        max_length=40,
        primary_key=True,
        validators=[RegexValidator(r"\A[a-z][a-z0-9_-]*\Z", "A role's name is like content-editor: a-z 0-9 _ -")],
    )

    def __str__(self) -> str:
        return self.name


class UserQuerySet(models.QuerySet["User"]):
    """Queries on users."""

    def with_role_names(self) -> Self:
        """Fetch the names of the roles in the same query, for `User.role_names`."""
        return self.annotate(fetched_role_names=RoleNames("pk"))

    def called(self, identifier: str) -> Self:
        """Find the user that a username or an e-mail address names, in any case and form."""
        # A username holds no @, so an identifier can only be one of the two.
        field = "email_key" if "@" in identifier else "username_key"
        return self.filter(**{field: comparison_key(identifier)})

    def starting_with(self, beginning: str) -> Self:
        """Find the users whose username or e-mail address begins so, in any case and form."""
        key = comparison_key(beginning)
        return self.filter(models.Q(username_key__startswith=key) | models.Q(email_key__startswith=key))


class UserManager(BaseUserManager["User"]):
    """Makes users whose names are normalised and who have the role that everybody has."""

    def get_queryset(self) -> UserQuerySet:
        """Return the queries above."""
        return UserQuerySet(self.model, using=self._db)

    def with_role_names(self) -> UserQuerySet:
        """Fetch the names of the roles in the same query."""
        return self.get_queryset().with_role_names()

    def called(self, identifier: str) -> UserQuerySet:
        """Find the user that a username or an e-mail address names."""
        return self.get_queryset().called(identifier)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Find a user for Django's own commands, as sign-in would.

        Raises User.DoesNotExist.
        """
        return self.called(username or "").get()

    def create_user(
        self,
        username: str,
        email: str,
        password: str | None,
        roles: Iterable[str] = (DEFAULT_ROLE,),
        **fields: Any,
    ) -> "User":
        """Store a user together with the roles.

        Raises django.db.IntegrityError where username or e-mail are taken.
        """
        user = self.model(username=normalize(username), email=normalize(email), **fields)
        user.set_password(password)
        with transaction.atomic():
            user.save(using=self._db)
            user.roles.add(*Role.objects.filter(name__in=roles))
        return user

    def create_superuser(self, username: str, email: str, password: str | None, **fields: Any) -> "User":
        """Store a user who may do everything in the Django admin. The API's roles are granted apart."""
        return self.create_user(username, email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person with a password, who may sign in by username or e-mail address."""

    username = models.CharField(
        max_length=USERNAME_LENGTH,
        validators=[validate_username],
        help_text="Letters and digits of any script, and . _ - +",
    )
    # `unique=True` rather than a named constraint: on PostgreSQL it brings the index for prefix searches along.
    username_key = ComparisonKeyField(of="username", max_length=3 * USERNAME_LENGTH, unique=True)
    email = models.EmailField("e-mail address", max_length=EMAIL_LENGTH)
    email_key = ComparisonKeyField(of="email", max_length=3 * EMAIL_LENGTH, unique=True)
    fullname = models.CharField("full name", max_length=150, blank=True)
    roles = models.ManyToManyField(Role, blank=True, related_name="users")
    is_active = models.BooleanField(
        "active", default=True, help_text="Switching this off ends every session of the user for good."
    )
    is_staff = models.BooleanField("staff", default=False, help_text="May sign in to this admin site.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    token_version = models.PositiveIntegerField(
        default=0,
        editable=False,
        help_text="The `ver` of access tokens. It moves on when roles or the password change.",
    )
    security_stamp = models.BigIntegerField(
        default=new_security_stamp,
        editable=False,
        help_text="Drawn anew when the password changes. A session started under another stamp is over.",
    )

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        # `username_key` is stricter; this one tells Django that the name alone finds a user.
        constraints = [models.UniqueConstraint(fields=["username"], name="user_username_unique")]

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["email"]

    @classmethod
    def normalize_username(cls, username: str) -> str:
        """Give the spelling that is stored."""
        return normalize(username)

    @property
    def role_names(self) -> tuple[str, ...]:
        """The names of the user's roles, sorted; a query, unless `with_role_names` fetched them."""
        if hasattr(self, "fetched_role_names"):
            return split_role_names(self.fetched_role_names)
        return tuple(sorted(self.roles.values_list("name", flat=True)))

    def clean(self) -> None:
        """Normalise, and refuse the name of another account, for forms and for `createsuperuser`."""
        super().clean()
        self.email = normalize(self.email)
        others = User.objects.exclude(pk=self.pk)
        for name in ("username", "email"):
            if others.filter(**{f"{name}_key": comparison_key(getattr(self, name))}).exists():
                raise ValidationError({name: f"Another account has this {name} already."})

    def set_password(self, raw_password: str | None) -> None:
        """Hash and set the password. Saved with it, the new stamp ends every session of the user.

        That holds for whoever changes a password, `manage.py changepassword` and a shell included.
        """
        super().set_password(raw_password)
        self.security_stamp = new_security_stamp()

    def set_unusable_password(self) -> None:
        """Leave the user without a password, and without sessions."""
        self.set_password(None)

    def check_password(self, raw_password: str | None) -> bool:
        """Tell whether it is the password; bring an older hash up to date, which is no change of password."""
        return check_password(raw_password, self.password, self._upgrade_hash)

    def _upgrade_hash(self, raw_password: str) -> None:
        upgraded = make_password(raw_password)
        # Compared with the hash that was checked: a password changed in the meantime must win.
        if User.objects.filter(pk=self.pk, password=self.password).update(password=upgraded):
            self.password = upgraded


def split_role_names(joined: str | None) -> tuple[str, ...]:
    """Read what `RoleNames` fetched."""
    return tuple(sorted(joined.split(","))) if joined else ()


class EndReason(models.TextChoices):
    """Why a session is over before its time."""

    SIGNED_OUT = "signed_out", "signed out"
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

    def with_owner_in_force(self) -> Self:
        """Keep the sessions whose owner is active and has the password that they began with.

        A scalar subquery, which no planner turns into a join of everything with everything.
        """
        owner = User.objects.filter(pk=models.OuterRef("owner_id"))
        in_force = models.Q(is_active=True, security_stamp=models.OuterRef("owner_stamp"))
        verdict = owner.values_list(models.ExpressionWrapper(in_force, models.BooleanField()))
        return self.filter(models.Subquery(verdict, output_field=models.BooleanField()))

    def expired(self, now: datetime) -> Self:
        """Keep the sessions whose time is over; nothing brings one back."""
        return self.filter(expires_at__lte=now)

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
    expires_at = models.DateTimeField("expires", db_index=True, help_text="When the refresh token is too old.")
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
    def reason_for_end(self) -> str:
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


class GuessCount(models.Model):
    """One counter of failures: of what (a digest, no name and no address), how many, and until when."""

    key = models.CharField(max_length=100, primary_key=True)
    count = models.IntegerField()
    resets_at = models.FloatField(db_index=True, help_text="Seconds since the epoch.")

    class Meta:
        default_permissions = ()  # nobody edits counters

    def __str__(self) -> str:
        return f"{self.count} failures"
