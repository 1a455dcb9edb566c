"""Django's signals for sign-ins and sign-outs through the API: receivers get the same arguments as from `login()`.

They are sent here and not in `accounts`, because receivers expect a request. A receiver that raises is logged by
Django and changes no response.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import user_logged_in, user_logged_out, user_login_failed
from django.contrib.auth.models import update_last_login
from django.http import HttpRequest
from rest_framework.request import Request

from accounts.errors import EmailUnverified, InvalidCredentials, Throttled
from accounts.factor_errors import InvalidCode
from accounts.models import RefreshToken, User
from accounts.sessions.lifecycle import TokenPair

_PASSWORD = "*" * 20


@contextmanager
def reporting_failure(request: HttpRequest | Request, identifier: str) -> Iterator[None]:
    """Send `user_login_failed` if the block raises. `identifier` is a username or email address."""
    try:
        yield
    except (InvalidCredentials, InvalidCode, EmailUnverified, Throttled):
        credentials = {"username": identifier, "password": _PASSWORD}
        user_login_failed.send_robust(sender=__name__, credentials=credentials, request=_http_request(request))
        raise


def report_sign_in(request: Request, user: User, pair: TokenPair) -> None:
    """Send `user_logged_in`, with the id of the new session as `session_id`."""
    session_id: str = pair.access.claims["sid"]
    user_logged_in.send_robust(sender=User, request=_http_request(request), user=user, session_id=session_id)


def report_browser_sign_in(request: HttpRequest, session: RefreshToken) -> None:
    """Send `user_logged_in` for a sign-in at the hosted pages, with the id of the browser's session."""
    user_logged_in.send_robust(sender=User, request=request, user=session.owner, session_id=str(session.pk))


def report_sign_out(request: HttpRequest | Request, user_id: int | None) -> None:
    """Send `user_logged_out` for the user who signed out, if there is one. Without receivers, no query runs."""
    if user_id is None or not user_logged_out.has_listeners(User):
        return
    user = User.objects.get_queryset().filter(pk=user_id).first()
    if user is not None:
        user_logged_out.send_robust(sender=User, request=_http_request(request), user=user)


def _http_request(request: HttpRequest | Request) -> HttpRequest:
    if isinstance(request, HttpRequest):
        return request
    http_request: HttpRequest = request._request  # noqa: SLF001  receivers expect the request of Django
    return http_request


def _update_last_login(sender: Any, user: Any, session_id: str | None = None, **_: Any) -> None:
    if session_id is None:
        update_last_login(sender, user)


def replace_update_of_last_login() -> None:
    """Restrict Django's receiver that stores `last_login` to sign-ins with a Django session.

    For a sign-in through the API it would run one more UPDATE. The security history says when that was.
    """
    # With the same uid, so that Django does not connect its own receiver if its app is set up later.
    user_logged_in.disconnect(dispatch_uid="update_last_login")
    user_logged_in.connect(_update_last_login, dispatch_uid="update_last_login")
