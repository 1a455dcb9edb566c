"""Read the languages that a client prefers."""

from django.utils.translation.trans_real import parse_accept_lang_header
from rest_framework.request import Request


def preferred(request: Request) -> list[str]:
    """Return the languages of `Accept-Language`, the preferred one first (RFC 9110 section 12.5.4).

    An invalid header counts as missing.
    """
    header = request.headers.get("Accept-Language", "")
    return [tag for tag, quality in parse_accept_lang_header(header) if quality > 0]
