"""Roles, and the three that every installation has."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import apps as installed_apps
from django.core.validators import RegexValidator
from django.db import models, router

from accounts.databases import PrimaryQuerySet

DEFAULT_ROLE = "user"
"""The role of every new user."""

BUILT_IN_ROLES = (DEFAULT_ROLE, "moderator", "admin")


class RolesMissing(Exception):
    """Roles that a user was to have do not exist: a fault of the installation, or of the code that names them."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"Roles that do not exist: {', '.join(names)}. Run `manage.py migrate`, which creates "
            f"{', '.join(BUILT_IN_ROLES)}; create others yourself."
        )


class Role(models.Model):
    """A role that can be granted to users. Migrations create the roles user, moderator and admin."""

    name = models.CharField(
        max_length=40,
        primary_key=True,
        validators=[
            RegexValidator(
                r"\A[a-z][a-z0-9_-]*\Z",
                "Use a-z, 0-9 and _ - only, and begin with a letter, as in content-editor.",
            )
        ],
    )

    objects = PrimaryQuerySet["Role"].as_manager()

    def __str__(self) -> str:
        return self.name


def require_roles(names: Iterable[str], using: str | None = None) -> list[str]:
    """Return the names, each once. `using` is the alias of the database.

    Raises RolesMissing if one of the roles does not exist.
    """
    required = list(dict.fromkeys(names))
    existing = set(Role.objects.using(using).filter(name__in=required).values_list("name", flat=True))
    if missing := [name for name in required if name not in existing]:
        raise RolesMissing(missing)
    return required


def create_built_in_roles(*, using: str, apps: Any = installed_apps, **_: Any) -> None:
    """Create the built-in roles that a database lacks, after `migrate` and `flush`, which deletes all rows."""
    try:
        role = apps.get_model("accounts", "Role")
    except LookupError:  # the table was migrated away
        return
    if router.allow_migrate_model(using, role):
        rows = [role(name=name) for name in BUILT_IN_ROLES]
        role.objects.using(using).bulk_create(rows, ignore_conflicts=True)


def split_role_names(joined: str | None) -> tuple[str, ...]:
    """Return the sorted role names from the comma-separated value of `RoleNames`."""
    return tuple(sorted(joined.split(","))) if joined else ()
