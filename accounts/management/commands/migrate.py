"""Migrates the database. Of several processes that start at once, one migrates and the others wait."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from accounts.management.migration_lock import migration_lock
from accounts.management.service_command import database_errors_in_one_line, describe_target


class Command(migrate.Command):
    """The command `migrate`. It replaces Django's command, which fails if another process migrates meanwhile."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Migrate, and report a database that cannot be reached in one line. Raises CommandError."""
        with database_errors_in_one_line(connections[options["database"]]):
            return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        """Name the database, wait until no other process migrates it, and migrate."""
        connection = connections[options["database"]]
        if options["verbosity"]:
            self.stderr.write(describe_target(connection), style_func=str)
        with migration_lock(connection, self._report_waiting):
            super().handle(*args, **options)

    def _report_waiting(self) -> None:
        self.stderr.write("Another process migrates the database. Waiting for it.", style_func=str)
