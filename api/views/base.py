"""What the views have in common: who may call them, and that no cache keeps their answers."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NoReturn, cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts.models import User
from accounts.values.clients import Client
from api.authentication import AccessTokenAuthentication
from api.errors import render_error
from api.http.negotiation import FirstRendererNegotiation
from api.http.parsers import BoundedFormParser, BoundedJSONParser
from api.permissions import SignedIn


class ProtectedView(APIView):
    """Needs an access token. Its answers are for the one who asked."""

    authentication_classes: Sequence[type[BaseAuthentication]] = (AccessTokenAuthentication,)
    permission_classes: Sequence[type[BasePermission]] = (SignedIn,)
    parser_classes = (BoundedJSONParser, BoundedFormParser)
    renderer_classes: Sequence[type[BaseRenderer]] = (JSONRenderer,)
    content_negotiation_class = FirstRendererNegotiation
    # OPTIONS is for CORS preflights, which the middleware answers.
    http_method_names: Sequence[str] = ("get", "head", "post", "patch", "delete")

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Keep answers out of caches, which know nothing of `x-access-token`.

        Without `Allow`: to put it together for answers that need none takes a tenth of a cheap request.
        """
        return {"Cache-Control": "no-store"}

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse a method, and say which ones there are (RFC 9110 section 15.5.6)."""
        self.headers["Allow"] = ", ".join(self.allowed_methods)
        raise MethodNotAllowed(request.method or "")

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        """Answer refusals as the contract says."""
        return render_error

    def handle_exception(self, exc: Exception) -> Response:
        """Answer a refusal in JSON and keep it out of caches, also where the view's own answers are otherwise."""
        self.headers |= self.default_response_headers
        response = super().handle_exception(exc)
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return response


class PublicView(ProtectedView):
    """Open to anyone; an access token that rides along is not looked at."""

    authentication_classes = ()
    permission_classes = ()


def read_body(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return the fields of a body; those that are missing or null are not among them.

    Raises rest_framework.exceptions.ValidationError.
    """
    fields = _cached_serializer(serializer).run_validation(request.data)
    return {name: value for name, value in fields.items() if value is not None}


def user_of(request: Request) -> User:
    """Return who is signed in."""
    return cast("User", request.user)


def client_of(request: Request) -> Client:
    """Tell who is at the other end."""
    return Client.from_environ(request.META)


@cache
def _cached_serializer(serializer: type[Serializer[Any]]) -> Serializer[Any]:
    # A new one copies all its fields, which takes longer than to read a body; reading leaves nothing in them.
    return serializer()
