"""Creates an administrator, only in the database of a service."""

import os
from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from accounts.management.service_command import ServiceCommand
from accounts.models import User

_PASSWORD = "DJANGO_SUPERUSER_PASSWORD"  # noqa: S105  the name of Django's variable


class Command(ServiceCommand, createsuperuser.Command):
    """The command `createsuperuser`. It replaces Django's command, which creates a missing SQLite database."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Name the database, then prompt for the administrator, unless options or the environment say all."""
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the administrator.

        Raises CommandError for a weak password, which Django's command accepts with `--noinput`.
        """
        if not options["interactive"] and _PASSWORD in os.environ:
            _refuse_weak(os.environ[_PASSWORD], options)
        super().handle(*args, **options)


def _refuse_weak(password: str, options: dict[str, Any]) -> None:
    user = User(username=options["username"] or "", email=options["email"] or "")
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise CommandError(f"{_PASSWORD}: {' '.join(error.messages)}") from None
