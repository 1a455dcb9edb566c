"""Read the languages that a client prefers, and choose the one of a page."""

from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation.trans_real import parse_accept_lang_header
from rest_framework.request import Request

from accounts.values.languages import SOURCE_LANGUAGE, choose, translated

_CATALOGS = str(Path(__file__).parent.parent / "locale")


def preferred(request: HttpRequest | Request) -> list[str]:
    """Return the languages of `Accept-Language`, the preferred one first (RFC 9110 section 12.5.4).

    An invalid header counts as missing.
    """
    header = request.headers.get("Accept-Language", "")
    return [tag for tag, quality in parse_accept_lang_header(header) if quality > 0]


def of_page(request: HttpRequest, asked_for: Iterable[str] = ()) -> str:
    """Return the language of a page: the browser's, else LANGUAGE_CODE, of those that pages are translated into.

    These are English, and the languages that have a catalog in this app or in LOCALE_PATHS. Those that are
    `asked_for` are preferred to the browser's.
    """
    ranked = [*asked_for, *preferred(request), settings.LANGUAGE_CODE]
    return choose(ranked, translated(_CATALOGS)) or SOURCE_LANGUAGE
