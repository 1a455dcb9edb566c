"""Custom fields, defaults and query expressions of the models."""

import secrets
from typing import Any
from uuid import UUID

import uuid_utils.compat
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql.compiler import SQLCompiler

from accounts.values.identifiers import KEYS


def new_security_stamp() -> int:
    """Return a random 63-bit number, so that no existing session has the same stamp."""
    return secrets.randbits(63)


def new_session_id() -> UUID:
    """Return a time-ordered UUID (version 7, RFC 9562), so that new sessions are added at the end of the index."""
    return uuid_utils.compat.uuid7()


class ComparisonKeyField(models.CharField):  # type: ignore[type-arg]  # generic only in the type stubs
    """A field that stores the comparison key of the field `source`, computed on every save."""

    def __init__(self, *, source: str, **kwargs: Any) -> None:
        self.source = source
        super().__init__(**{**kwargs, "editable": False})

    def deconstruct(self) -> Any:
        """Include `source` in migrations."""
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "source": self.source}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:  # noqa: FBT001  Django's signature
        """Compute and return the comparison key."""
        key = KEYS[self.source](getattr(model_instance, self.source))
        setattr(model_instance, self.attname, key)
        return key


class RoleNames(models.Func):
    """The names of a user's roles, joined by commas, which saves a second query."""

    template = "(SELECT %(function)s(role_id, ',') FROM accounts_user_roles WHERE user_id = %(expressions)s)"
    function = "STRING_AGG"
    sqlite_function = "GROUP_CONCAT"  # SQLite has STRING_AGG only since 3.44
    arity = 1
    output_field = models.TextField(null=True)  # noqa: DJ001  NULL if the user has no roles

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Use the function name of SQLite."""
        return super().as_sql(compiler, connection, function=self.sqlite_function, **context)

    @classmethod
    def sql(cls, vendor: str, user_id: str) -> str:
        """Return the expression for use in raw SQL. `user_id` is the column with the id of the user."""
        function = cls.sqlite_function if vendor == "sqlite" else cls.function
        return cls.template % {"function": function, "expressions": user_id}


class UtcDate(models.Func):
    """The date in UTC of a datetime. It depends on no setting, as a generated column requires."""

    arity = 1
    output_field = models.DateField()

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Convert to UTC explicitly, because the time zone of a database connection can vary."""
        template = "((%(expressions)s AT TIME ZONE 'UTC')::date)"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Use the date of the stored string: SQLite stores datetimes as text in UTC."""
        return self.as_sql(compiler, connection, template="date(%(expressions)s)", **context)
