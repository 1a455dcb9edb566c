"""Creates an administrator, only in the database of a service."""

from typing import Any

from django.contrib.auth.management.commands import createsuperuser

from accounts.management.service_command import ServiceCommand


class Command(ServiceCommand, createsuperuser.Command):
    """The command `createsuperuser`. It replaces Django's command, which creates a missing SQLite database."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Name the database, then prompt for the administrator, unless options or the environment say all."""
        return super().execute(*args, **options)
