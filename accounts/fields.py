"""What the models need beyond Django's own fields, defaults and expressions."""

import secrets
from typing import Any
from uuid import UUID

import uuid_utils.compat
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql.compiler import SQLCompiler

from accounts.values.identifiers import comparison_key


def new_security_stamp() -> int:
    """Draw a number that no session was started under before."""
    return secrets.randbits(63)


def new_session_id() -> UUID:
    """Draw a time-ordered uuid (version 7, RFC 9562): new sessions go to the end of the index."""
    return uuid_utils.compat.uuid7()


class ComparisonKeyField(models.CharField):  # type: ignore[type-arg]  # generic for the checker only
    """Holds the comparison key of another field, computed whenever the row is saved."""

    def __init__(self, *, source: str, **kwargs: Any) -> None:
        self.source = source
        super().__init__(**{**kwargs, "editable": False})

    def deconstruct(self) -> Any:
        """Name the other field in migrations as well."""
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "source": self.source}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:  # noqa: FBT001  Django's signature
        """Compute the key that is stored."""
        key = comparison_key(getattr(model_instance, self.source))
        setattr(model_instance, self.attname, key)
        return key


class RoleNames(models.Func):
    """The names of a user's roles, joined by commas: one column instead of a second query."""

    template = "(SELECT %(function)s(role_id, ',') FROM accounts_user_roles WHERE user_id = %(expressions)s)"
    function = "STRING_AGG"
    sqlite_function = "GROUP_CONCAT"  # it has the other one from 3.44 on only
    arity = 1
    output_field = models.TextField(null=True)  # noqa: DJ001  no roles, no names

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Say it as SQLite does."""
        return super().as_sql(compiler, connection, function=self.sqlite_function, **context)

    @classmethod
    def sql(cls, vendor: str, user_id: str) -> str:
        """Give the SQL for a statement that is written out; `user_id` is the column that names the user."""
        function = cls.sqlite_function if vendor == "sqlite" else cls.function
        return cls.template % {"function": function, "expressions": user_id}


class UtcDate(models.Func):
    """The day of a moment by the clock of UTC. A generated column takes it: it depends on no setting."""

    arity = 1
    output_field = models.DateField()

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Name the zone: what a session of the database is set to would not be the same for all."""
        template = "((%(expressions)s AT TIME ZONE 'UTC')::date)"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """SQLite keeps a moment as a text in UTC."""
        return self.as_sql(compiler, connection, template="date(%(expressions)s)", **context)
