"""Validate the value of a setting, and describe an invalid one to the operator."""

import dataclasses
from datetime import timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured


def environment_name(field: "dataclasses.Field[Any]") -> str:
    """Return the name of the environment variable for a setting."""
    return field.metadata["environment"] or f"AUTH_{field.name.upper()}"


def validate_setting(field: "dataclasses.Field[Any]", value: object) -> None:
    """Raise ImproperlyConfigured if the value of a setting is not allowed."""
    try:
        is_allowed = field.metadata["rule"].is_valid(value)
    except (TypeError, AttributeError):
        is_allowed = False
    if not is_allowed:
        raise ImproperlyConfigured(describe_invalid_setting(field, value))


def describe_invalid_setting(field: "dataclasses.Field[Any]", value: object) -> str:
    """Return an error message that names the setting, the value and the allowed values."""
    if isinstance(value, timedelta):
        value = f"{value.total_seconds():g}"
    elif isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f"{environment_name(field)} is {str(value)!r}. Allowed: {field.metadata['rule'].allowed}."
