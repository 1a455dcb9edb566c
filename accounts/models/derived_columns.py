"""Keep columns that depend on another column consistent, whichever ORM method changes that column.

A project's own code changes users with `save(update_fields=...)`, `update()`, `bulk_update()` and `bulk_create()`.
None of these may leave a comparison key behind, keep an address verified that is another one now, or leave tokens
valid after the password has changed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import models

from accounts.databases import M, PrimaryQuerySet
from accounts.fields import ComparisonKeyField, SecurityStampField, VerifiedAtField

DERIVED_FIELDS = (ComparisonKeyField, SecurityStampField, VerifiedAtField)


def with_derived_names(model: type[models.Model], names: Iterable[str]) -> set[str]:
    """Return the names of fields to write, with the fields that are derived from them."""
    given = set(names)
    return given | {field.name for field in _derived_fields(model, given)}


class DerivedColumnsQuerySet(PrimaryQuerySet[M]):
    """Writes the derived columns together with the columns that they are derived from."""

    def update(self, **values: Any) -> int:
        """Update the rows, and return how many there were.

        Raises ValueError if a column with a comparison key is set to an expression.
        """
        return super().update(**_derived_values(self.model, values), **values)

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_update(self, objs: Iterable[M], fields: Iterable[str], batch_size: int | None = None) -> int:
        """Update the fields of the objects, and return how many rows there were."""
        objects = list(objs)
        return super().bulk_update(objects, _derive(self.model, objects, fields), batch_size)

    bulk_update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[M], *args: Any, **options: Any) -> list[M]:
        """Create the objects; with `update_conflicts`, update `update_fields` of those that exist."""
        objects = list(objs)
        if options.get("update_fields"):
            options["update_fields"] = _derive(self.model, objects, options["update_fields"])
        return super().bulk_create(objects, *args, **options)

    bulk_create.alters_data = True  # type: ignore[attr-defined]


def _derive(model: type[models.Model], objects: Iterable[models.Model], names: Iterable[str]) -> list[str]:
    """Set the derived fields of the objects; return the names of all fields to write, sorted.

    An object that was loaded has the stamp and the verification of the password and address from before.
    """
    given = set(names)
    derived = [field for field in _derived_fields(model, given) if field.name not in given]
    for instance in objects:
        for field in derived:
            setattr(instance, field.attname, field.derive(getattr(instance, field.source)))
    return sorted(given | {field.name for field in derived})


def _derived_fields(model: type[models.Model], names: Collection[str]) -> Sequence[Any]:
    return [
        field
        for field in model._meta.concrete_fields
        if isinstance(field, DERIVED_FIELDS) and field.source in names
    ]


def _derived_values(model: type[models.Model], values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        field.name: field.derive(values[field.source])
        for field in _derived_fields(model, values)
        if field.name not in values
    }
