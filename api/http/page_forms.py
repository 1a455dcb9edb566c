"""Protect the forms of pages against cross-site request forgery, in particular of a sign-in as another user.

A form must come from this service, according to `Origin` or, without one, `Sec-Fetch-Site` (Fetch Metadata), and
must contain Django's CSRF token. Unlike for the API, the origins of CORS_ALLOWED_ORIGINS are not allowed.

The pages call this themselves, because a project may lack Django's middleware, and to respond with a page.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CSRF_SECRET_LENGTH, CsrfViewMiddleware, rotate_token
from rest_framework.exceptions import UnsupportedMediaType

from accounts.conf import auth_settings
from accounts.errors import CsrfFailed
from accounts.values.origins import serialize_origin
from api.http import cookies

COOKIE = "__Host-formtoken"
"""Not `csrftoken`: another Django site of the same domain would replace it, or plant a token that it knows."""

TOKEN_FIELD = "csrfmiddlewaretoken"  # noqa: S105  Django's name
_FORM_TYPE = "application/x-www-form-urlencoded"
_TRUSTED_FETCH_SITES = frozenset({"same-origin", "none"})


class _TokenCheck(CsrfViewMiddleware):
    """Django's check with a cookie of its own, which returns the reason for a refusal instead of a page."""

    def _get_secret(self, request: HttpRequest) -> str | None:
        values = [value for value in set(cookies.read_all(request, COOKIE)) if _is_secret(value)]
        return values[0] if len(values) == 1 else None

    def _set_csrf_cookie(self, request: HttpRequest, response: Any) -> None:
        response.set_cookie(
            COOKIE, request.META["CSRF_COOKIE"], path="/", secure=True, httponly=True, samesite="Lax"
        )

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def _is_secret(value: str) -> bool:
    return len(value) == CSRF_SECRET_LENGTH and value.isascii() and value.isalnum()


def _no_response(_: HttpRequest) -> HttpResponse:
    return HttpResponse()


_check = _TokenCheck(_no_response)


def require_own_form(request: HttpRequest) -> None:
    """Check that a form was sent by a page of this service.

    Raises CsrfFailed, or UnsupportedMediaType for a body that is no plain form.
    """
    if request.content_type != _FORM_TYPE:
        raise UnsupportedMediaType(request.content_type or "")
    _require_own_origin(request)
    reason = _check.process_view(request, _no_response, (), {})
    if reason:
        raise CsrfFailed(str(reason))


def set_token_cookie(request: HttpRequest, response: HttpResponse) -> None:
    """Set the cookie of the CSRF token if the page contains one, or if it was replaced."""
    _check.process_response(request, response)


def read_token_cookie(request: HttpRequest) -> None:
    """Read the cookie of the CSRF token, so that a page that is opened again contains the same token."""
    request.META.pop("CSRF_COOKIE", None)  # that of Django's middleware in a project
    _check.process_request(request)


def replace_token(request: HttpRequest) -> None:
    """Replace the CSRF token, so that a value known before the sign-in is useless."""
    rotate_token(request)


def comes_from_own_page(request: HttpRequest) -> bool:
    """Return whether the navigation that led to this request began on a page of this service."""
    site = request.META.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return bool(site == "same-origin")
    referrer: str = request.META.get("HTTP_REFERER", "")
    return any(referrer.startswith(f"{origin}/") for origin in _own_origins(request))


def _require_own_origin(request: HttpRequest) -> None:
    origin = request.META.get("HTTP_ORIGIN")
    if origin is not None:
        if origin not in _own_origins(request):
            raise CsrfFailed("the page's origin is not allowed.")
    elif request.META.get("HTTP_SEC_FETCH_SITE", "none") not in _TRUSTED_FETCH_SITES:
        raise CsrfFailed("the request comes from another site.")


def _own_origins(request: HttpRequest) -> set[str]:
    public_url: str = auth_settings().public_url
    own = {f"{request.scheme}://{request.get_host()}"}
    return own | {serialize_origin(public_url)} if public_url else own
