"""Custom fields, defaults and query expressions of the models."""

import secrets
from typing import Any
from uuid import UUID

import uuid_utils.compat
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Greatest
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

    def derive(self, value: Any) -> str:
        """Return the key of a value of the source.

        Raises ValueError if the value is a database expression.
        """
        if not isinstance(value, str):
            raise ValueError(f"{self.source} must be set to text: its comparison key is computed in Python.")  # noqa: TRY004  as Django does for values
        return KEYS[self.source](value)

    def key_for(self, instance: models.Model) -> str:
        """Return the key to store. A key that migration 0010 marked, of a shared address, stays."""
        key = self.derive(getattr(instance, self.source))
        marked = f"duplicate {instance.pk}: {key}"
        return marked if getattr(instance, self.attname) == marked else key

    def pre_save(self, model_instance: models.Model, add: bool) -> str:  # noqa: FBT001  Django's signature
        """Compute and return the comparison key."""
        key = self.key_for(model_instance)
        setattr(model_instance, self.attname, key)
        return key


class VerifiedAtField(models.DateTimeField):  # type: ignore[type-arg]  # generic only in the type stubs
    """When the address in the field `email` was verified. Another address is not verified."""

    source = "email"

    def derive(self, value: Any) -> None:
        """Return the time of verification of an address that was just set: none."""


class PasswordField(models.CharField):  # type: ignore[type-arg]  # generic only in the type stubs
    """A password hash that a save writes only if it was changed on the instance.

    Otherwise, saving an instance that was loaded before a password change would restore the former password.
    """

    def deconstruct(self) -> Any:
        """Return the field for migrations: Django's, because the column is the same."""
        name, _, args, options = super().deconstruct()
        return name, "django.db.models.CharField", args, options

    def pre_save(self, model_instance: Any, add: bool) -> Any:  # noqa: FBT001  Django's signature
        """Return the hash, or the expression that keeps the stored one."""
        value = super().pre_save(model_instance, add)
        return value if add or model_instance.has_other_password() else models.F(self.attname)


class SecurityStampField(models.BigIntegerField):  # type: ignore[type-arg]  # generic only in the type stubs
    """A random number that is replaced whenever a save changes the password.

    The statement that saves the row decides whether the password changes, so that an instance that was loaded
    before another change, or whose `password` was assigned directly, cannot restore an earlier stamp.
    """

    source = "password"

    def derive(self, value: Any) -> int:
        """Return a new stamp."""
        return new_security_stamp()

    def pre_save(self, model_instance: Any, add: bool) -> Any:  # noqa: FBT001  Django's signature
        """Return the stamp of a new row, or the expression that keeps or replaces the stamp of an existing one."""
        if add:
            return super().pre_save(model_instance, add)
        if not model_instance.has_other_password():
            return models.F(self.attname)
        stamp = model_instance.security_stamp if model_instance.has_new_password else new_security_stamp()
        unchanged = models.When(password=model_instance.password, then=models.F(self.attname))
        return models.Case(unchanged, default=models.Value(stamp, self), output_field=self)


class TokenVersionField(models.PositiveIntegerField):  # type: ignore[type-arg]  # generic only in the type stubs
    """A number that a save never lowers: saving an instance that was loaded earlier would validate old tokens."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:  # noqa: FBT001  Django's signature
        """Return the version of a new row, or the greater one of the stored version and the instance's."""
        version = super().pre_save(model_instance, add)
        return version if add else Greatest(models.F(self.attname), models.Value(version, self), output_field=self)


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
