"""Protected test endpoints: one for anyone, and one each for users, moderators and admins."""

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.errors import RoleRequired
from accounts.factor_errors import SecondFactorRequired
from api.authentication import UserOrServiceAuthentication
from api.openapi.error_responses import ACCESS_TOKEN_SECURITY, TOKEN_ERRORS, error_responses
from api.permissions import Admin, Moderator
from api.views.base import ProtectedView, PublicView

TEXT_RESPONSE = {(200, "text/plain"): OpenApiTypes.STR}


def _text_response(content: str) -> HttpResponse:
    return HttpResponse(content, content_type="text/plain; charset=utf-8")


class PublicContent(PublicView):
    """Public content."""

    @extend_schema(
        operation_id="publicContent",
        summary="Read public content",
        responses=TEXT_RESPONSE,
        extensions=error_responses(),
    )
    def get(self, request: Request) -> HttpResponse:
        """Return the public content."""
        return _text_response("Public Content.")


class UserContent(ProtectedView):
    """Content for signed-in users."""

    @extend_schema(
        operation_id="userContent",
        summary="Read content for signed-in users",
        responses=TEXT_RESPONSE,
        extensions=error_responses(*TOKEN_ERRORS),
    )
    def get(self, request: Request) -> HttpResponse:
        """Return the content for users."""
        return _text_response("User Content.")


class ModeratorContent(ProtectedView):
    """Content for moderators, and for services with that role."""

    authentication_classes = (UserOrServiceAuthentication,)
    permission_classes = (Moderator,)

    @extend_schema(
        operation_id="moderatorContent",
        summary="Read content for moderators",
        auth=ACCESS_TOKEN_SECURITY,
        responses=TEXT_RESPONSE,
        extensions=error_responses(*TOKEN_ERRORS, RoleRequired("moderator"), SecondFactorRequired()),
    )
    def get(self, request: Request) -> HttpResponse:
        """Return the content for moderators."""
        return _text_response("Moderator Content.")


class AdminContent(ProtectedView):
    """Content for admins, and for services with that role."""

    authentication_classes = (UserOrServiceAuthentication,)
    permission_classes = (Admin,)

    @extend_schema(
        operation_id="adminContent",
        summary="Read content for admins",
        auth=ACCESS_TOKEN_SECURITY,
        responses=TEXT_RESPONSE,
        extensions=error_responses(*TOKEN_ERRORS, RoleRequired("admin"), SecondFactorRequired()),
    )
    def get(self, request: Request) -> HttpResponse:
        """Return the content for admins."""
        return _text_response("Admin Content.")
