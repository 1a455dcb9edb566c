"""The base of the commands that change the service: they name what they act on, and refuse to act elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.db import InterfaceError, OperationalError

from accounts.conf import auth_settings
from accounts.databases import connection_of
from accounts.models import User

_WRONG_PLACE = (
    "Run the command with the environment of the service (deploy/manage, or `docker compose run`). "
    "For a new installation, run `manage.py migrate` first."
)


class ServiceCommand(BaseCommand):
    """A command that changes the database or the signing keys of the service."""

    requires_database = True
    """Whether the command is refused if the database does not have the tables of the service."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Print the database and the key folder to standard error, then run the command.

        Raises CommandError, before anything is created or changed, if an argument is blank or the database is not
        that of a service. Also raises CommandError if the database cannot be reached.
        """
        _refuse_blank(options)
        with database_errors_in_one_line(connection_of(User)):
            if self.requires_database:
                _refuse_missing_database()
            if options.get("stderr"):
                self.stderr = OutputWrapper(options["stderr"])
            self.stderr.write(describe_target(connection_of(User)), style_func=str)
            return super().execute(*args, **options)


@contextmanager
def database_errors_in_one_line(database: Any) -> Iterator[None]:
    """Report a database that cannot be reached or fails meanwhile in one line, or with `--traceback` in full.

    Raises CommandError.
    """
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        reason = " ".join(str(error).split())
        raise CommandError(
            f"The database ({_describe(database)}) cannot be used: {reason} "
            "Check DATABASE_URL and the database server, then run the command again."
        ) from error


def describe_target(database: Any) -> str:
    """Return the database and the key folder that the process uses, in one line and without a password."""
    return f"Database: {_describe(database)}. Signing keys: {auth_settings().keys_dir.absolute()}"


def _describe(database: Any) -> str:
    settings = database.settings_dict
    if database.vendor == "sqlite":
        return f"SQLite, {settings['NAME']}"
    options = settings["OPTIONS"]
    host = settings["HOST"] or options.get("host") or "the local socket"
    port = settings["PORT"] or options.get("port") or "the default port"
    user = settings["USER"] or options.get("user") or "the default user"
    return f"{database.display_name}, {settings['NAME']!r} on {host}, {port}, as {user}"


def _refuse_missing_database() -> None:
    """Raise CommandError if the database lacks the table of users. No SQLite file is created."""
    connection = connection_of(User)
    name = str(connection.settings_dict["NAME"])
    is_file = connection.vendor == "sqlite" and not name.startswith("file:")
    if is_file and not Path(name).exists():
        raise CommandError(f"The database {name} does not exist. {_WRONG_PLACE}")
    if User._meta.db_table not in connection.introspection.table_names():
        raise CommandError(f"The database ({_describe(connection)}) has no users table. {_WRONG_PLACE}")


def _refuse_blank(options: dict[str, Any]) -> None:
    blank = [name for name, value in options.items() for text in _texts(value) if not text.strip()]
    if blank:
        raise CommandError(f"The argument {blank[0]!r} is blank. Pass a value, or leave the argument out.")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))
