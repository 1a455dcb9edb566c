"""Django's middleware for people who are signed in to the admin, which the API has no use for.

They cost a protected request of the API a tenth of its time, and would look for a session where it has none.
"""

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

ADMIN = "/admin/"


class _OnlyForAdmin(MiddlewareMixin):
    """Steps aside for every other path."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(ADMIN):
            answer: HttpResponseBase = super().__call__(request)  # type: ignore[assignment]  # no coroutine here
            return answer
        return self.get_response(request)  # type: ignore[return-value]


class AdminSessionMiddleware(_OnlyForAdmin, SessionMiddleware):
    """Gives `request.session`."""


class AdminAuthenticationMiddleware(_OnlyForAdmin, AuthenticationMiddleware):
    """Gives `request.user`."""


class AdminMessageMiddleware(_OnlyForAdmin, MessageMiddleware):
    """Gives what `django.contrib.messages` keeps."""
