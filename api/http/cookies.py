"""Tokens in cookies, for pages that keep none in reach of their scripts (RFC 6265bis section 4.1.3 on prefixes).

`__Host-access` goes with every request to this host, `__Secure-refresh` only to the endpoints that use it up. With
AUTH_COOKIE_DOMAIN both are shared with the hosts below that domain, for which no cookie may be called `__Host-`.
"""

from datetime import timedelta
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.conf import auth_settings
from accounts.errors import InvalidRequest
from accounts.sessions.lifecycle import TokenPair
from accounts.tokens.access_tokens import AccessToken

REFRESH_NAME = "__Secure-refresh"
REFRESH_PATH = "/api/auth"


def access_name() -> str:
    """Name the cookie that holds the access token."""
    return "__Secure-access" if auth_settings().cookie_domain else "__Host-access"


def set_tokens(response: Response, pair: TokenPair) -> None:
    """Hand out a token pair as cookies."""
    set_access_token(response, pair.access)
    response.set_cookie(
        REFRESH_NAME, pair.refresh_token, max_age=pair.refresh_expires_in, path=REFRESH_PATH, **_attributes()
    )


def set_access_token(response: Response, access: AccessToken) -> None:
    """Hand out an access token as a cookie.

    It outlives the token: a browser that dropped it would be told that there is none, and not that it is expired.
    """
    lifetime: timedelta = auth_settings().refresh_token_lifetime
    response.set_cookie(access_name(), access.text, max_age=lifetime, path="/", **_attributes())


def with_cookies_cleared(response: Response, request: Request) -> Response:
    """Take both cookies back from a browser that sent one."""
    if not (read_all(request, access_name()) or read_all(request, REFRESH_NAME)):
        return response
    domain = auth_settings().cookie_domain or None
    response.delete_cookie(access_name(), path="/", domain=domain, samesite="Lax")
    response.delete_cookie(REFRESH_NAME, path=REFRESH_PATH, domain=domain, samesite="Lax")
    return response


def access_tokens_in(request: Request) -> list[str]:
    """Find the access tokens that the request's cookies hold: a sister site can have set a second one."""
    return read_all(request, access_name())


def refresh_token_in(request: Request) -> str | None:
    """Return the refresh token that the request's cookies hold.

    Raises InvalidRequest where they hold two different ones.
    """
    tokens = set(read_all(request, REFRESH_NAME))
    if len(tokens) > 1:
        raise InvalidRequest(f"The cookie {REFRESH_NAME} stands there twice. Allowed: once.")
    return tokens.pop() if tokens else None


def _attributes() -> dict[str, Any]:
    return {
        "domain": auth_settings().cookie_domain or None,
        "secure": True,
        "httponly": True,
        "samesite": "Lax",
    }


def read_all(request: Request, name: str) -> list[str]:
    """Read the Cookie header itself: Django keeps one of several cookies of one name, and does not tell."""
    header = request.META.get("HTTP_COOKIE")
    if header is None:
        return []
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return [value.strip() for tokens, _, value in pairs if tokens == name and value.strip()]
