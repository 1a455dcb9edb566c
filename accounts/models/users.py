"""Users."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.fields import (
    ComparisonKeyField,
    PasswordField,
    SecurityStampField,
    TokenVersionField,
    VerifiedAtField,
    new_security_stamp,
)
from accounts.models.derived_columns import with_derived_names
from accounts.models.password_verification import verify
from accounts.models.roles import Role, split_role_names
from accounts.models.user_queries import UserManager
from accounts.models.voided_sessions import queue_logouts
from accounts.values.identifiers import (
    EMAIL_LENGTH,
    KEYS,
    USERNAME_LENGTH,
    normalize,
    normalize_email,
    validate_email_address,
    validate_fullname,
    validate_username,
)
from accounts.values.languages import LANGUAGE_LENGTH, validate_language
from accounts.values.passwords import normalize_password

NO_USER_ID = 0
"""An id that is never assigned to a user."""


class User(AbstractBaseUser, PermissionsMixin):
    """A user, who can sign in with a username or an email address, and a password."""

    password = PasswordField("password", max_length=128)
    username = models.CharField(
        max_length=USERNAME_LENGTH,
        validators=[validate_username],
        help_text="Letters and digits of any script, and . _ - +",
    )
    # `unique=True` and not a named constraint, because on PostgreSQL it also creates the index for prefix
    # searches.
    username_key = ComparisonKeyField(source="username", max_length=3 * USERNAME_LENGTH, unique=True)
    email = models.EmailField("email address", max_length=EMAIL_LENGTH, validators=[validate_email_address])
    email_key = ComparisonKeyField(source="email", max_length=3 * EMAIL_LENGTH, unique=True)
    email_verified_at = VerifiedAtField(
        "email verified", null=True, editable=False, help_text="When the user last confirmed this address."
    )
    pending_since = models.DateTimeField(
        null=True,
        editable=False,
        db_index=True,
        help_text="When the user signed up, as long as sign-in still requires them to verify the address.",
    )
    fullname = models.CharField("full name", max_length=150, blank=True, validators=[validate_fullname])
    language = models.CharField(
        max_length=LANGUAGE_LENGTH,
        blank=True,
        default="",
        db_default="",  # so that processes of the previous release can insert users during an upgrade
        validators=[validate_language],
        help_text="The language of emails to the user. Empty for the default one.",
    )
    roles = models.ManyToManyField(Role, blank=True, related_name="users")
    is_active = models.BooleanField(
        "active",
        default=True,
        help_text="Clear this to deactivate the user. All of their sessions end permanently.",
    )
    is_staff = models.BooleanField(
        "staff", default=False, help_text="Whether the user can sign in to this admin site."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    token_version = TokenVersionField(
        default=0,
        editable=False,
        help_text="The `ver` claim of access tokens. It is incremented when the roles or the password change.",
    )
    security_stamp = SecurityStampField(
        default=new_security_stamp,
        editable=False,
        help_text="Replaced when the password changes. Sessions with an older stamp are revoked.",
    )

    fetched_has_authenticator: bool
    """Whether the user has an authenticator app. Set, like the next one, by the query of a sign-in."""

    fetched_has_passkey: bool
    """Whether the user has a passkey."""

    has_new_password = False
    """Whether `set_password` was called since the user was loaded or saved."""

    stored_password: str | None = None
    """The password hash as it was loaded or saved; None if neither has happened."""

    knows_network = False
    """Whether the user has signed in from a given network. Set by `UserQuerySet.with_known_network`."""

    knows_any_device = False
    """Whether any device of the user is known. Set, like the next two, by the query of a sign-in."""

    knows_device = False
    """Whether a given device of the user is known."""

    has_used_device_lately = False
    """Whether that device was recorded less than `RENEWAL_INTERVAL` ago."""

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        # Django requires USERNAME_FIELD to be unique. The constraint on `username_key` is stricter.
        constraints = [models.UniqueConstraint(fields=["username"], name="user_username_unique")]

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["email"]

    @classmethod
    def from_db(cls, *args: Any) -> Self:  # type: ignore[override]  # the arguments are Django's
        """Return an instance for a row, which remembers the password hash."""
        user = super().from_db(*args)
        user.stored_password = user.__dict__.get("password")
        return user

    def refresh_from_db(self, *args: Any, **options: Any) -> None:
        """Load the fields again, or those that are given."""
        before = self.__dict__.get("password")
        super().refresh_from_db(*args, **options)
        if self.__dict__.get("password") != before:
            self.stored_password = self.password

    def has_other_password(self) -> bool:
        """Return whether the password hash differs from the one that was loaded or saved."""
        return bool(self.password != self.stored_password)

    @property
    def is_email_verified(self) -> bool:
        """Whether the user has confirmed the email address."""
        return self.email_verified_at is not None

    @property
    def mail_language(self) -> str:
        """The code of the language of emails to the user."""
        return self.language or settings.LANGUAGE_CODE

    @property
    def has_authenticator(self) -> bool:
        """Whether the user has an authenticator app. Needs a query unless the query of a sign-in fetched it."""
        if hasattr(self, "fetched_has_authenticator"):
            return bool(self.fetched_has_authenticator)
        return self.authenticators.filter(confirmed_at__isnull=False).exists()

    @property
    def has_passkey(self) -> bool:
        """Whether the user has a passkey. Needs a query unless the query of a sign-in fetched it."""
        if hasattr(self, "fetched_has_passkey"):
            return bool(self.fetched_has_passkey)
        return self.passkeys.exists()

    @property
    def has_second_factor(self) -> bool:
        """Whether the user has a second factor, so that a password alone starts no session."""
        return self.has_authenticator or self.has_passkey

    @classmethod
    def normalize_username(cls, username: str) -> str:
        """Return the form of a username that is stored."""
        return normalize(username)

    @property
    def role_names(self) -> tuple[str, ...]:
        """The names of the user's roles, sorted. Needs a query unless `with_role_names` fetched them."""
        if hasattr(self, "fetched_role_names"):
            return split_role_names(self.fetched_role_names)
        return tuple(sorted(self.roles.values_list("name", flat=True)))

    def clean(self) -> None:
        """Normalize username and email address, for forms and for `createsuperuser`.

        Raises ValidationError if another account has one of them and it is not the stored one of this account.
        """
        super().clean()
        self.email = normalize_email(self.email)
        others = User.objects.exclude(pk=self.pk)
        stored = User.objects.filter(pk=self.pk).values(*KEYS).first() or {}
        for name, key_of in KEYS.items():
            text = getattr(self, name)
            if text != stored.get(name) and others.filter(**{f"{name}_key": key_of(text)}).exists():
                raise ValidationError({name: f"Another account has this {name} already."})

    def save(self, *, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        """Save the user. Fields that are derived from `update_fields`, or from loaded fields, are saved with them.

        If the email address has changed, it is not verified any more. To set a verified address, verify it after.
        """
        if update_fields is None:
            update_fields = self._loaded_fields()
        names = None if update_fields is None else with_derived_names(User, update_fields)
        if not self._state.adding and (names is None or "email" in names) and self._has_other_address():
            self.email_verified_at = None
        with self._queue_logouts(names):
            super().save(update_fields=names, **options)
        self.has_new_password = False
        if names is None or "password" in names:
            self.stored_password = self.__dict__.get("password")

    def _queue_logouts(self, names: set[str] | None) -> AbstractContextManager[None]:
        """Return a context manager that notifies the applications whose sessions a save of these fields voids."""
        has_other_password = (names is None or "password" in names) and self.has_other_password()
        is_deactivated = (names is None or "is_active" in names) and not self.is_active
        if self._state.adding or not (has_other_password or is_deactivated):
            return nullcontext()
        return queue_logouts(User.objects.filter(pk=self.pk))

    def _loaded_fields(self) -> set[str] | None:
        """Return the names of the fields that were loaded or set, or None if no field is deferred.

        Django saves only these, and would leave out a deferred field that is derived from one of them.
        """
        deferred = self.get_deferred_fields()
        if self._state.adding or not deferred:
            return None
        fields = User._meta.concrete_fields
        return {field.name for field in fields if field.attname not in deferred and not field.primary_key}

    def set_comparison_keys(self) -> None:
        """Set the keys by which the username and the email address are compared, as every save does."""
        for name in KEYS:
            field: Any = User._meta.get_field(f"{name}_key")
            field.pre_save(self, self._state.adding)

    def _has_other_address(self) -> bool:
        field: Any = User._meta.get_field("email_key")
        return bool(field.key_for(self) != self.email_key)

    def set_password(self, raw_password: str | None) -> None:
        """Set the normalized password and a new security stamp. Saving the user then revokes all their sessions.

        This applies to every way of changing a password, including Django's own forms and a shell.
        """
        super().set_password(None if raw_password is None else normalize_password(raw_password))
        self.security_stamp = new_security_stamp()
        self.has_new_password = True

    def get_session_auth_hash(self) -> str:
        """Return what a session of the admin contains. It ends with a new password, or a reset of the factors."""
        return self._hash_for_sessions(None)

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        """Return what it may contain as well: hashes under earlier keys, and those of earlier releases."""
        yield from (self._hash_for_sessions(server_key) for server_key in settings.SECRET_KEY_FALLBACKS)
        yield super().get_session_auth_hash()
        yield from super().get_session_auth_fallback_hash()

    def _hash_for_sessions(self, server_key: str | bytes | None) -> str:
        message = f"{self.security_stamp} {self.password}"
        return salted_hmac("accounts.admin_sessions", message, server_key, algorithm="sha256").hexdigest()

    def set_unusable_password(self) -> None:
        """Remove the password. Saving the user then revokes all of their sessions."""
        self.set_password(None)

    def check_password(self, raw_password: str | None) -> bool:
        """Return whether the password is correct, and upgrade its hash if the hash is outdated.

        Upgrading the hash keeps the security stamp, so that no session is revoked. A hash that cannot be verified
        counts as a wrong password, at the same cost, and is logged. The hash of a deactivated user is not
        upgraded, so that their right password costs as much as a wrong one.
        """
        result = verify(raw_password, self.password, self.pk)
        if result.is_correct and result.is_outdated and self.is_active and raw_password is not None:
            self._upgrade_hash(normalize_password(raw_password))
        return result.is_correct

    def _upgrade_hash(self, password: str) -> None:
        upgraded = make_password(password)
        # Only if the hash is still the one that was verified, so that a concurrent password change is not
        # overwritten. The stamp is given, so that it is not replaced.
        unchanged = User.objects.filter(pk=self.pk, password=self.password)
        if unchanged.update(password=upgraded, security_stamp=models.F("security_stamp")):
            self.password = self.stored_password = upgraded
