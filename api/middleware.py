"""Middleware that a project may add: `request.user` from an access token, for plain Django views.

The API's own views do not need it: REST framework authenticates their requests.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject

from accounts.errors import AuthError, Unavailable
from accounts.models import User
from api.authentication import VARY, AccessTokenAuthentication
from api.errors import Refusal

_Handler = Callable[[HttpRequest], Any]


class _LazyUser:
    """Finds the user of a request when it is first needed."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._session_user: Any = getattr(request, "user", None)
        self.was_needed = False

    def __call__(self) -> Any:
        """Return the user of the session, else of the access token, else AnonymousUser.

        Raises Unavailable.
        """
        self.was_needed = True
        if self._session_user is not None and self._session_user.is_authenticated:
            return self._session_user
        return _user_of_token(self._request) or AnonymousUser()


class AccessTokenMiddleware:
    """Sets `request.user` and `request.auser` from the access token in a header or cookie.

    A user who is signed in by a session stays that user. An invalid token counts as none, and so does a cookie
    in a request that changes something without passing the CSRF check. Place it after AuthenticationMiddleware.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: _Handler) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Handle the request. The token is verified only if a view asks for the user."""
        find_user = _LazyUser(request)
        request.user = cast("User", SimpleLazyObject(find_user))

        async def auser() -> Any:
            return await sync_to_async(_evaluated)(request.user)

        request.auser = auser
        if self._is_async:
            return self._respond_async(request, find_user)
        return _with_vary(self._get_response(request), find_user)

    async def _respond_async(self, request: HttpRequest, find_user: _LazyUser) -> HttpResponseBase:
        return _with_vary(await self._get_response(request), find_user)


def _evaluated(user: Any) -> Any:
    bool(user.is_authenticated)
    return user


def _with_vary(response: HttpResponseBase, find_user: _LazyUser) -> HttpResponseBase:
    if find_user.was_needed:
        patch_vary_headers(response, VARY)
    return response


def _user_of_token(request: HttpRequest) -> User | None:
    try:
        found = AccessTokenAuthentication().authenticate(cast("Any", request))
        # Loads the user, who may have been deleted since the session was validated.
        return _evaluated(found[0]) if found else None
    except Refusal as refusal:
        error = refusal.error
    except AuthError as loading_error:
        error = loading_error
    if isinstance(error, Unavailable):
        raise error
    return None
