"""Users and their roles."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models.expressions import RawSQL
from django.utils import timezone

from accounts.fields import ComparisonKeyField, RoleNames, new_security_stamp
from accounts.values.identifiers import (
    EMAIL_LENGTH,
    USERNAME_LENGTH,
    comparison_key,
    normalize,
    validate_email_address,
    validate_fullname,
    validate_username,
)

DEFAULT_ROLE = "user"

NO_USER_ID = 0
"""An id that no user has."""


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

    def identified_by(self, identifier: str) -> Self:
        """Find the user that a username or an e-mail address names, in any case and form."""
        return self.filter(**dict([comparison_lookup(identifier)]))

    def with_email(self, address: str) -> Self:
        """Find the user who has an e-mail address, in any case and form."""
        return self.filter(email_key=comparison_key(address))

    def with_known_network(self, network: str) -> Self:
        """Fetch in the same query whether the user has been in a network, for `User.knows_network`."""
        exists = "EXISTS (SELECT 1 FROM accounts_knownorigin WHERE user_id = accounts_user.id AND digest = %s)"
        return self.annotate(knows_network=RawSQL(exists, [network], models.BooleanField()))  # noqa: S611  the text is ours

    def verify_email(self, *, at: datetime) -> int:
        """Take the addresses that are not verified yet for verified; return how many."""
        return self.filter(email_verified_at=None).update(email_verified_at=at, pending_since=None)

    def with_prefix(self, prefix: str) -> Self:
        """Find the users whose username or e-mail address begins so, in any case and form."""
        key = comparison_key(prefix)
        return self.filter(models.Q(username_key__startswith=key) | models.Q(email_key__startswith=key))


class UserManager(BaseUserManager["User"]):
    """Makes users whose names are normalised and who have the role that everybody has."""

    def get_queryset(self) -> UserQuerySet:
        """Return the queries above."""
        return UserQuerySet(self.model, using=self._db)

    def with_role_names(self) -> UserQuerySet:
        """Fetch the names of the roles in the same query."""
        return self.get_queryset().with_role_names()

    def identified_by(self, identifier: str) -> UserQuerySet:
        """Find the user that a username or an e-mail address names."""
        return self.get_queryset().identified_by(identifier)

    def with_email(self, address: str) -> UserQuerySet:
        """Find the user who has an e-mail address."""
        return self.get_queryset().with_email(address)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Find a user for Django's own commands, as sign-in would.

        Raises User.DoesNotExist.
        """
        return self.identified_by(username or "").get()

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
        # Who runs the command vouches for the address.
        defaults = {"is_staff": True, "is_superuser": True, "email_verified_at": timezone.now()}
        return self.create_user(username, email, password, **{**defaults, **fields})


class User(AbstractBaseUser, PermissionsMixin):
    """A person with a password, who may sign in by username or e-mail address."""

    username = models.CharField(
        max_length=USERNAME_LENGTH,
        validators=[validate_username],
        help_text="Letters and digits of any script, and . _ - +",
    )
    # `unique=True` rather than a named constraint: on PostgreSQL it brings the index for prefix searches along.
    username_key = ComparisonKeyField(source="username", max_length=3 * USERNAME_LENGTH, unique=True)
    email = models.EmailField("e-mail address", max_length=EMAIL_LENGTH, validators=[validate_email_address])
    email_key = ComparisonKeyField(source="email", max_length=3 * EMAIL_LENGTH, unique=True)
    email_verified_at = models.DateTimeField(
        "e-mail verified", null=True, editable=False, help_text="When the user last proved to read mail there."
    )
    pending_since = models.DateTimeField(
        null=True,
        editable=False,
        db_index=True,
        help_text="Set at a sign-up that has to be verified before the first sign-in, until it is.",
    )
    fullname = models.CharField("full name", max_length=150, blank=True, validators=[validate_fullname])
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

    knows_network = False
    """Whether the user has been in the network that was asked about when the user was fetched."""

    knows_any_device = False
    """Whether any device of the user is known."""

    knows_device = False
    """Whether the device that was asked about is."""

    has_used_device_lately = False
    """Whether its use was noted lately enough."""

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        # `username_key` is stricter; this one tells Django that the name alone finds a user.
        constraints = [models.UniqueConstraint(fields=["username"], name="user_username_unique")]

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["email"]

    @property
    def is_email_verified(self) -> bool:
        """Whether the user has proved to read mail at the address."""
        return self.email_verified_at is not None

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


def comparison_lookup(identifier: str) -> tuple[str, str]:
    """Tell in which column the key of a username or of an e-mail address stands, and the key."""
    # A username holds no @, so an identifier can only be one of the two.
    key = comparison_key(identifier)
    return ("email_key" if "@" in key else "username_key"), key


def split_role_names(joined: str | None) -> tuple[str, ...]:
    """Read what `RoleNames` fetched."""
    return tuple(sorted(joined.split(","))) if joined else ()
