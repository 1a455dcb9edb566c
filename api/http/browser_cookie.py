"""The cookie of the browser's sign-in at the hosted pages (RFC 6265bis section 4.1.3 on its prefix).

Only this host can set it: browsers refuse the prefix `__Host-` with another path, with a domain, or without TLS.
So no sibling subdomain can plant its own sign-in. Browsers accept it at http://localhost too.
"""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts.sso import browser_sign_ins
from accounts.sso.browser_sign_ins import BrowserSignIn
from api.http import cookies

NAME = "__Host-signin"


def read(request: HttpRequest) -> BrowserSignIn | None:
    """Return the browser's valid sign-in, or None. Two different cookies count as none."""
    value = _value_of(request)
    return browser_sign_ins.find(value) if value else None


def read_with_expired(request: HttpRequest) -> BrowserSignIn | None:
    """Return the browser's sign-in to end or replace it, also if it expired before sessions that came of it."""
    value = _value_of(request)
    return browser_sign_ins.find_with_expired(value) if value else None


def set_on(response: HttpResponse, browser: BrowserSignIn, value: str) -> None:
    """Set the cookie, which the browser deletes when it is closed unless the session is remembered."""
    session = browser.session
    remaining = session.session_expires_at - timezone.now()
    max_age = int(remaining.total_seconds()) if session.remember else None
    response.set_cookie(NAME, value, max_age=max_age, path="/", secure=True, httponly=True, samesite="Lax")


def delete_from(response: HttpResponse) -> None:
    """Delete the cookie."""
    # `delete_cookie` sets Secure for this prefix, without which browsers would ignore the header.
    response.delete_cookie(NAME, path="/", samesite="Lax")


def _value_of(request: HttpRequest) -> str | None:
    values = set(cookies.read_all(request, NAME))
    return values.pop() if len(values) == 1 else None
