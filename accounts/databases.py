"""Which database decides about accounts: the one that the project's routers write to, also for reads.

A router may send reads to a replica. A replica lags, and would accept a revoked session, or refuse a token that
was just issued. Every query of this app therefore runs where its table is written.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import connections, models, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

M = TypeVar("M", bound=models.Model)


def alias_of(model: type[models.Model]) -> str:
    """Return the alias in DATABASES of the database that stores the model."""
    alias: str = router.db_for_write(model)
    return alias


def connection_of(model: type[models.Model]) -> BaseDatabaseWrapper:
    """Return this thread's connection to the database that stores the model."""
    return connections[alias_of(model)]


def adapt(connection: BaseDatabaseWrapper, value: Any) -> Any:
    """Return a value as a parameter of raw SQL. SQLite has no types for times and UUIDs."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, UUID) and not connection.features.has_native_uuid_field:
        return value.hex
    return value


def fetch_row(
    connection: BaseDatabaseWrapper, sql: str, values: Sequence[Any] | Mapping[str, Any]
) -> tuple[Any, ...] | None:
    """Execute a frequent statement, and return its first row, or None if it returns no row.

    The statement must be a constant. The service's own backend for PostgreSQL executes it at a lower cost than
    Django's cursor.
    """
    if hasattr(connection, "fetch_row"):
        row: tuple[Any, ...] | None = connection.fetch_row(sql, values)
        return row
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows = cursor.fetchall()  # SQLite commits only once all rows are fetched
    return rows[0] if rows else None


def columns_of(model: type[models.Model]) -> str:
    """Return the names of the model's columns, for a SELECT in raw SQL.

    Not `*`: PostgreSQL refuses to run a prepared statement again whose columns a migration has changed.
    """
    return ", ".join(str(field.column) for field in model._meta.concrete_fields)


def atomic(model: type[models.Model]) -> transaction.Atomic:
    """Return a transaction, or a savepoint in one, on the database that stores the model."""
    return transaction.atomic(using=alias_of(model))


class PrimaryQuerySet(models.QuerySet[M]):
    """A queryset that reads from the database that it writes to."""

    @property
    def db(self) -> str:
        """The alias of the database that the next query uses."""
        alias: str = self._db or router.db_for_write(self.model, **self._hints)  # type: ignore[attr-defined]
        return alias
