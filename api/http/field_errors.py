"""The `errors` of validation errors: texts by field."""

from collections.abc import Mapping
from typing import Any

from rest_framework.settings import api_settings


def in_camel_case(errors: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return errors with their field names, which may be those of model fields, in camelCase."""
    return {_camel_case(name): texts for name, texts in errors.items()}


def by_field(detail: Any) -> dict[str, list[str]]:
    """Return the texts of a `ValidationError` of REST framework by field, or under `body`."""
    if not isinstance(detail, dict):
        return {"body": _texts(detail)}
    whole = api_settings.NON_FIELD_ERRORS_KEY
    return {"body" if name == whole else str(name): _texts(part) for name, part in detail.items()}


def _texts(detail: Any) -> list[str]:
    if isinstance(detail, dict):
        return [text for part in detail.values() for text in _texts(part)]
    if isinstance(detail, list):
        return [text for part in detail for text in _texts(part)]
    return [str(detail)]


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
