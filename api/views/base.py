"""Base classes of the views, and functions that read a request."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NoReturn, cast

from django.http import HttpRequest, HttpResponse, QueryDict
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.fields import ListField
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
from api.http.parsers import BoundedFormParser, BoundedJSONParser, refuse_repeated
from api.permissions import SignedIn

_ANY_ORIGIN = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After, WWW-Authenticate",
}
_PREFLIGHT_MAX_AGE = "86400"  # seconds


class ProtectedView(APIView):
    """A view that requires an access token. No cache may store its responses.

    Every class that a project can set for all its views is set here, so that the API stays as documented.
    """

    authentication_classes: Sequence[type[BaseAuthentication]] = (AccessTokenAuthentication,)
    permission_classes: Sequence[type[BasePermission]] = (SignedIn,)
    parser_classes = (BoundedJSONParser, BoundedFormParser)
    renderer_classes: Sequence[type[BaseRenderer]] = (JSONRenderer,)
    throttle_classes = ()
    versioning_class = None
    content_negotiation_class = FirstRendererNegotiation
    # OPTIONS is used for CORS preflights, which the middleware handles.
    http_method_names: Sequence[str] = ("get", "head", "post", "patch", "delete")

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Forbid caching, because caches do not know `x-access-token`.

        `Allow` is left out: computing it for every response cost a tenth of a protected request.
        """
        return {"Cache-Control": "no-store"}

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise MethodNotAllowed, with the supported methods in `Allow` (RFC 9110 section 15.5.6)."""
        self.headers["Allow"] = ", ".join(self.allowed_methods)
        raise MethodNotAllowed(request.method or "")

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        """Return this API's handler, whatever the project's settings say."""
        return render_error

    def handle_exception(self, exc: Exception) -> Response:
        """Return the error response: always JSON, never cached, whatever the view's own responses are."""
        self.headers |= self.default_response_headers
        response = super().handle_exception(exc)
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return response


class PublicView(ProtectedView):
    """A view for anyone. It ignores access tokens, so that an expired one does no harm."""

    authentication_classes = ()
    permission_classes = ()


class OAuthView(PublicView):
    """A view for OAuth clients. Errors have the names of RFC 6749 section 5.2 as well."""

    def handle_exception(self, exc: Exception) -> Response:
        """Add `error` and `error_description` to the error response."""
        response = super().handle_exception(exc)
        response.data |= {"error": response.data["code"], "error_description": response.data["message"]}
        return response


class AnyOriginView(ProtectedView):
    """A view that pages of every origin may call, because browsers add no cookies to such a request.

    Its paths are excluded from CORS_URLS_REGEX, so that no middleware allows credentials for them.
    """

    http_method_names = (*ProtectedView.http_method_names, "options")

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Allow every origin to read the response (Fetch standard)."""
        return {**super().default_response_headers, **_ANY_ORIGIN}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate the request, unless it is a preflight, which has no credentials."""
        if request.method != "OPTIONS":
            super().initial(request, *args, **kwargs)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]  # needs no renderer
        """Return the response to a preflight."""
        allowed = {
            "Access-Control-Allow-Methods": ", ".join(self.allowed_methods),
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": _PREFLIGHT_MAX_AGE,
        }
        return HttpResponse(status=204, headers=allowed)


def read_body(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Validate the body; return its fields without those that are missing or null.

    Raises rest_framework.exceptions.ValidationError.
    """
    cached = _cached_serializer(serializer)
    if isinstance(request.data, QueryDict):
        single = [name for name, field in cached.fields.items() if not isinstance(field, ListField)]
        refuse_repeated(request.data, single)
    fields = cached.run_validation(request.data)
    return {name: value for name, value in fields.items() if value is not None}


def user_of(request: Request) -> User:
    """Return the signed-in user."""
    return cast("User", request.user)


def client_of(request: Request) -> Client:
    """Return the client that sent the request."""
    return Client.from_environ(request.META)


@cache
def _cached_serializer(serializer: type[Serializer[Any]]) -> Serializer[Any]:
    # Creating a serializer copies all its fields, which takes longer than validating a body. Validation keeps no
    # state.
    return serializer()
