"""Tokens in cookies, for pages whose scripts must not read them (RFC 6265bis section 4.1.3 on prefixes).

Browsers send `__Host-access` with every request to this host, and `__Secure-refresh` to `/api/auth` only. With
AUTH_COOKIE_DOMAIN, hosts below that domain share both cookies, and the prefix `__Host-` is not allowed.
"""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import get_script_prefix
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.conf import auth_settings
from accounts.errors import InvalidRequest
from accounts.sessions.lifecycle import TokenPair
from accounts.tokens import access_tokens
from accounts.tokens.access_tokens import AccessToken

REFRESH_NAME = "__Secure-refresh"
_MAX_COOKIE_SIZE = 4096
"""Bytes of name, value and attributes that every browser stores (RFC 6265 section 6.1)."""

_REFRESH_PATH = "api/auth"  # below the prefix at which the project is served


def access_name() -> str:
    """Return the name of the access token's cookie."""
    return "__Secure-access" if auth_settings().cookie_domain else "__Host-access"


def set_tokens(response: Response, pair: TokenPair) -> None:
    """Set both tokens as cookies, which the browser deletes when it is closed unless the session is remembered."""
    set_access_token(response, pair.access)
    max_age = pair.refresh_expires_in if pair.access.remember else None
    response.set_cookie(REFRESH_NAME, pair.refresh_token, max_age=max_age, path=_refresh_path(), **_attributes())


def set_access_token(response: Response, access: AccessToken) -> None:
    """Set the access token as a cookie, without the claims that do not fit.

    The cookie outlives the token. Otherwise the browser would drop it, and the response would be `token_missing`
    instead of `token_expired`.
    """
    lifetime: timedelta | None = auth_settings().refresh_token_lifetime if access.remember else None
    attributes = {"max_age": lifetime, "path": "/", **_attributes()}
    text = access_tokens.shorten(access, _max_value_length(access_name(), attributes)).text
    response.set_cookie(access_name(), text, **attributes)


def _max_value_length(name: str, attributes: dict[str, Any]) -> int:
    """Return how many characters the value of a cookie can have. Browsers silently drop a larger one."""
    empty = HttpResponse()
    empty.set_cookie(name, "", **attributes)
    return _MAX_COOKIE_SIZE - len(empty.cookies[name].OutputString())


def with_cookies_cleared(response: Response, request: Request) -> Response:
    """Delete both cookies if the request has one of them; return the response."""
    if not (read_all(request, access_name()) or read_all(request, REFRESH_NAME)):
        return response
    domain = auth_settings().cookie_domain or None
    response.delete_cookie(access_name(), path="/", domain=domain, samesite="Lax")
    response.delete_cookie(REFRESH_NAME, path=_refresh_path(), domain=domain, samesite="Lax")
    return response


def access_tokens_in(request: Request) -> list[str]:
    """Return the access tokens in the request's cookies. A sibling subdomain may have set a second one."""
    return read_all(request, access_name())


def refresh_token_in(request: Request) -> str | None:
    """Return the refresh token in the request's cookies, or None.

    Raises InvalidRequest if there are two different ones.
    """
    tokens = set(read_all(request, REFRESH_NAME))
    if len(tokens) > 1:
        raise InvalidRequest(f"The request has two different cookies named {REFRESH_NAME}. Send one.")
    return tokens.pop() if tokens else None


def _refresh_path() -> str:
    return get_script_prefix() + _REFRESH_PATH


def _attributes() -> dict[str, Any]:
    return {
        "domain": auth_settings().cookie_domain or None,
        "secure": True,
        "httponly": True,
        "samesite": "Lax",
    }


def read_all(request: HttpRequest | Request, name: str) -> list[str]:
    """Return all values of the cookie `name`. Django's `request.COOKIES` silently drops all but one."""
    header = request.META.get("HTTP_COOKIE")
    if header is None:
        return []
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return [value.strip() for found_name, _, value in pairs if found_name == name and value.strip()]
