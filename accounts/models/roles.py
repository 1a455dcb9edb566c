"""Roles."""

from django.core.validators import RegexValidator
from django.db import models

from accounts.databases import PrimaryQuerySet

DEFAULT_ROLE = "user"
"""The role of every new user."""


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


def split_role_names(joined: str | None) -> tuple[str, ...]:
    """Return the sorted role names from the comma-separated value of `RoleNames`."""
    return tuple(sorted(joined.split(","))) if joined else ()
