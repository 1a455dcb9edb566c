"""Protect requests that are authenticated by a cookie against cross-site request forgery.

A browser adds cookies to requests of any page. A request that changes something must therefore come from an
allowed origin, according to `Origin` or, without one, `Sec-Fetch-Site` (Fetch Metadata), and must repeat the value
of a CSRF cookie in `X-CSRFToken`, which only a page that can read the cookie can do. Clients other than browsers
send neither of the first two headers; for them, the third check applies alone.

There are two CSRF cookies. Every Django site has a `csrftoken`, and one that sets it for a whole domain adds a
second one to the requests of all sites there, so the value of any of them is accepted. `__Host-csrftoken`, or
`__Secure-csrftoken` with AUTH_COOKIE_DOMAIN, belongs to this service alone.
"""

import secrets

from django.conf import settings
from django.middleware.csrf import get_token, rotate_token
from django.utils.crypto import constant_time_compare
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.conf import auth_settings
from accounts.errors import CsrfFailed
from accounts.values.origins import serialize_origin
from api.http import cookies

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_HOST_NAME = "__Host-csrftoken"
_SHARED_NAME = "__Secure-csrftoken"
_OWN_NAMES = (_HOST_NAME, _SHARED_NAME)
"""Both are accepted: a browser keeps the other one for a while after AUTH_COOKIE_DOMAIN was changed."""

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
    names = (*_OWN_NAMES, settings.CSRF_COOKIE_NAME)
    accepted = [value for name in names for value in cookies.read_all(request, name)]
    presented = request.META.get(settings.CSRF_HEADER_NAME, "")
    if not any(constant_time_compare(presented, value) for value in accepted):
        raise CsrfFailed(f"X-CSRFToken must repeat the value of the cookie {settings.CSRF_COOKIE_NAME}.")


def rotate_csrf_cookies(request: Request, response: Response) -> None:
    """Set new CSRF cookies, so that a value known before the sign-in is useless."""
    rotate_token(request)
    _set_own_cookie(response, secrets.token_urlsafe(24))


def renew_csrf_cookies(request: Request, response: Response) -> None:
    """Set the CSRF cookies again, so that they live as long as the session is used."""
    get_token(request)
    current = cookies.read_all(request, _own_name())
    _set_own_cookie(response, current[0] if len(current) == 1 else secrets.token_urlsafe(24))


def _own_name() -> str:
    return _SHARED_NAME if auth_settings().cookie_domain else _HOST_NAME


def _set_own_cookie(response: Response, value: str) -> None:
    response.set_cookie(
        _own_name(),
        value,
        max_age=settings.CSRF_COOKIE_AGE,
        domain=auth_settings().cookie_domain or None,
        secure=True,
        samesite="Lax",
    )


def _allowed_origins(request: Request) -> set[str]:
    allowed = {f"{request.scheme}://{request.get_host()}", *getattr(settings, "CORS_ALLOWED_ORIGINS", ())}
    public_url: str = auth_settings().public_url
    return allowed | {serialize_origin(public_url)} if public_url else allowed
