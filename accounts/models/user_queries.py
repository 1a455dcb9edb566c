"""Queries on users, and the creation of users."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.contrib.auth.base_user import BaseUserManager
from django.db import models, transaction
from django.db.models.expressions import RawSQL
from django.utils import timezone

from accounts.databases import alias_of
from accounts.fields import (
    RoleNames,
)
from accounts.models.derived_columns import DerivedColumnsQuerySet
from accounts.models.roles import DEFAULT_ROLE, require_roles
from accounts.models.voided_sessions import may_void_sessions, queue_logouts
from accounts.values.identifiers import (
    KEYS,
    comparison_key,
    email_key,
    normalize,
    normalize_email,
)

if TYPE_CHECKING:
    from accounts.models.users import User


class UserQuerySet(DerivedColumnsQuerySet["User"]):
    """Queries on users."""

    def update(self, **values: Any) -> int:
        """Update the users, notify applications whose sessions this voids, and return how many users there were.

        Raises ValueError if a username or email address is set to an expression.
        """
        if not may_void_sessions(values):
            return super().update(**values)
        with queue_logouts(self):
            return super().update(**values)

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: "Iterable[User]", *args: Any, **options: Any) -> "list[User]":
        """Create users, or update those that exist, as `update` does."""
        users = list(objs)
        if not may_void_sessions(dict.fromkeys(options.get("update_fields") or ())):
            return super().bulk_create(users, *args, **options)
        with queue_logouts(self._conflicting_with(users, options["unique_fields"])):
            return super().bulk_create(users, *args, **options)

    bulk_create.alters_data = True  # type: ignore[attr-defined]

    def _conflicting_with(self, users: "Sequence[User]", unique_fields: Iterable[str]) -> Self:
        """Filter to the stored users that have the unique fields of given ones."""
        for user in users:
            user.set_comparison_keys()
        return self.filter(**{f"{name}__in": [getattr(user, name) for user in users] for name in unique_fields})

    def with_role_names(self) -> Self:
        """Fetch the names of the roles in the same query. `User.role_names` uses them."""
        return self.annotate(fetched_role_names=RoleNames("pk"))

    def identified_by(self, identifier: str) -> Self:
        """Filter to the user with this username or email address, in any spelling of it."""
        return self.filter(**dict([comparison_lookup(identifier)]))

    def with_email(self, address: str) -> Self:
        """Filter to the user with this email address, in any case, Unicode form and spelling of its domain."""
        return self.filter(email_key=email_key(address))

    def with_known_network(self, *digests: str) -> Self:
        """Set `User.knows_network` in the same query: whether the user has signed in from the network.

        `digests` are those of one network, under each accepted key.
        """
        places = ", ".join(["%s"] * len(digests))
        known = "SELECT 1 FROM accounts_knownorigin WHERE user_id = accounts_user.id"
        exists = f"EXISTS ({known} AND digest IN ({places}))"
        return self.annotate(knows_network=RawSQL(exists, digests, models.BooleanField()))  # noqa: S611  no input in the SQL

    def verify_email(self, *, at: datetime) -> int:
        """Mark the email addresses that are not verified yet as verified, and return how many there were."""
        return self.filter(email_verified_at=None).update(email_verified_at=at, pending_since=None)

    def with_prefix(self, prefix: str) -> Self:
        """Filter to users whose username or email address begins with `prefix`, in any case and Unicode form."""
        has_username = models.Q(username_key__startswith=comparison_key(prefix))
        return self.filter(has_username | models.Q(email_key__startswith=email_key(prefix)))


class UserManager(BaseUserManager["User"]):
    """Creates users with normalized names and the default role."""

    def get_queryset(self) -> UserQuerySet:
        """Return a `UserQuerySet`."""
        return UserQuerySet(self.model, using=self._db)

    def with_role_names(self) -> UserQuerySet:
        """Fetch the names of the roles in the same query."""
        return self.get_queryset().with_role_names()

    def identified_by(self, identifier: str) -> UserQuerySet:
        """Filter to the user with this username or email address."""
        return self.get_queryset().identified_by(identifier)

    def with_email(self, address: str) -> UserQuerySet:
        """Filter to the user with this email address."""
        return self.get_queryset().with_email(address)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user with this username or email address, for Django's own commands.

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
        """Store and return a user with these roles.

        Raises django.db.IntegrityError if the username or the email address is taken, and RolesMissing if a role
        does not exist. No user is stored then.
        """
        user = self.model(username=normalize(username), email=normalize_email(email), **fields)
        user.set_password(password)
        self.store(user, roles)
        return user

    def store(self, user: "User", roles: Iterable[str]) -> None:
        """Store a new user with these roles.

        Raises django.db.IntegrityError if the username or the email address is taken, and RolesMissing if a role
        does not exist. No user is stored then.
        """
        using = self._db or alias_of(self.model)
        names = require_roles(roles, using)
        with transaction.atomic(using=using):
            user.save(using=using)
            # Not `add()`, which would invalidate the tokens of a user who has none yet.
            memberships = self.model.roles.through.objects.using(using)
            memberships.bulk_create([memberships.model(user=user, role_id=name) for name in names])

    def create_superuser(self, username: str, email: str, password: str | None, **fields: Any) -> "User":
        """Store and return a user with all permissions in the admin, and only the default role in the API."""
        # The operator who runs the command is responsible for the email address.
        defaults = {"is_staff": True, "is_superuser": True, "email_verified_at": timezone.now()}
        return self.create_user(username, email, password, **{**defaults, **fields})


def comparison_lookup(identifier: str) -> tuple[str, str]:
    """Return the column to search for a username or email address, and the comparison key to search for."""
    # Usernames cannot contain @, so an identifier is never ambiguous.
    name = "email" if "@" in normalize(identifier) else "username"
    return f"{name}_key", KEYS[name](identifier)
