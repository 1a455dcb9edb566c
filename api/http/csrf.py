"""Protect requests that are authenticated by a cookie against cross-site request forgery.

A browser adds cookies to requests of any page. A request that changes something must therefore come from an
allowed origin, according to `Origin` or, without one, `Sec-Fetch-Site` (Fetch Metadata), and must repeat the value
of the `csrftoken` cookie in `X-CSRFToken`, which only a page that can read the cookie can do. Clients other than
browsers send neither of the first two headers; for them, the third check applies alone.
"""

from urllib.parse import urlsplit

from django.conf import settings
from django.middleware.csrf import get_token, rotate_token
from django.utils.crypto import constant_time_compare
from rest_framework.request import Request

from accounts.conf import auth_settings
from accounts.errors import CsrfFailed
from api.http import cookies

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_TRUSTED_FETCH_SITES = frozenset({"same-origin", "none"})


def require_same_origin(request: Request) -> None:
    """Check that the request comes from an allowed origin.

    Raises CsrfFailed.
    """
    origin = request.META.get("HTTP_ORIGIN")
    if origin is not None:
        if origin not in _allowed_origins(request):
            raise CsrfFailed("the page's origin is not allowed.")
    elif request.META.get("HTTP_SEC_FETCH_SITE", "none") not in _TRUSTED_FETCH_SITES:
        raise CsrfFailed("the request comes from another site.")


def require_csrf_token(request: Request) -> None:
    """Check the origin, and that the request repeats the value of the cookie.

    Raises CsrfFailed.
    """
    require_same_origin(request)
    expected = set(cookies.read_all(request, settings.CSRF_COOKIE_NAME))
    presented = request.META.get(settings.CSRF_HEADER_NAME, "")
    if len(expected) != 1 or not constant_time_compare(presented, *expected):
        raise CsrfFailed(f"X-CSRFToken must repeat the value of the cookie {settings.CSRF_COOKIE_NAME}.")


def rotate_csrf_cookie(request: Request) -> None:
    """Set a new `csrftoken` cookie, so that a value known before the sign-in is useless."""
    rotate_token(request)


def renew_csrf_cookie(request: Request) -> None:
    """Set the `csrftoken` cookie again, so that it lives as long as the session is used."""
    get_token(request)


def _allowed_origins(request: Request) -> set[str]:
    allowed = {f"{request.scheme}://{request.get_host()}", *getattr(settings, "CORS_ALLOWED_ORIGINS", ())}
    public = urlsplit(auth_settings().public_url.lower())
    return allowed | {f"{public.scheme}://{public.netloc}"} if public.netloc else allowed
