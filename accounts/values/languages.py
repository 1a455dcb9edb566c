"""The languages of emails and pages: those that have translations, and which of them a person prefers."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import to_locale

LANGUAGE_LENGTH = 20
SOURCE_LANGUAGE = "en"
_CATALOGS = str(Path(__file__).parent.parent / "locale")


def supported() -> tuple[str, ...]:
    """Return the codes of the languages that emails can be in, with the default one first.

    These are LANGUAGE_CODE, and those of LANGUAGES that have a catalog in this app or in LOCALE_PATHS.
    """
    return tuple(dict.fromkeys((settings.LANGUAGE_CODE, *translated(_CATALOGS))))


def translated(catalogs: str) -> tuple[str, ...]:
    """Return the codes of English and of those LANGUAGES that have a catalog in a folder or in LOCALE_PATHS."""
    codes = tuple(code for code, _ in settings.LANGUAGES)
    return _with_catalogs(codes, (catalogs, *map(str, settings.LOCALE_PATHS)))


def choose(preferred: Iterable[str], codes: Iterable[str] | None = None) -> str:
    """Return the first preferred language among the codes, or an empty string (RFC 4647 section 3.4).

    The default for `codes` is `supported()`. For `de-at`, `de` is good enough.
    """
    by_lower_case = {code.lower(): code for code in (supported() if codes is None else codes)}
    for tag in preferred:
        parts = tag.lower().split("-")
        for length in range(len(parts), 0, -1):
            if code := by_lower_case.get("-".join(parts[:length])):
                return code
    return ""


def validate_language(code: str) -> None:
    """Validate that emails can be in a language.

    Raises django.core.exceptions.ValidationError.
    """
    if code not in supported():
        raise ValidationError(f"Choose one of {', '.join(supported())}.", code="language_unsupported")


@cache
def _with_catalogs(codes: tuple[str, ...], folders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(code for code in codes if code == SOURCE_LANGUAGE or _has_catalog(code, folders))


def _has_catalog(code: str, folders: Iterable[str]) -> bool:
    return any(Path(folder, to_locale(code), "LC_MESSAGES", "django.mo").is_file() for folder in folders)
