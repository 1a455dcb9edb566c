"""The profile of the signed-in user."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import AccountInUse, EmailTaken, UsernameTaken
from accounts.tokens import access_tokens
from accounts.users import deletion, profile
from api.authentication import claims_of
from api.http import cookies
from api.openapi.error_responses import (
    BODY_ERRORS,
    CHANGE_ERRORS,
    STEP_UP_ERROR,
    THROTTLED,
    TOKEN_ERRORS,
    error_responses,
)
from api.permissions import RecentlyAuthenticated
from api.serializers.inputs import ProfileInput
from api.serializers.outputs import OwnProfileOutput, own_profile
from api.views.base import ProtectedView, client_of, read_body, user_of


class Me(ProtectedView):
    """The signed-in user's account."""

    def get_permissions(self) -> list[Any]:
        """Require a recent authentication for deleting the account."""
        if self.request.method == "DELETE":
            return [RecentlyAuthenticated()]
        return list(super().get_permissions())

    @extend_schema(
        operation_id="me",
        summary="Show the profile",
        responses={200: OwnProfileOutput},
        extensions=error_responses(*TOKEN_ERRORS),
    )
    def get(self, request: Request) -> Response:
        """Return the profile of the signed-in user."""
        return Response(own_profile(user_of(request)))

    @extend_schema(
        operation_id="changeMe",
        summary="Change full name, language, username or email address",
        request=ProfileInput,
        responses={200: OwnProfileOutput},
        extensions=error_responses(
            *CHANGE_ERRORS, *BODY_ERRORS, STEP_UP_ERROR, UsernameTaken(), EmailTaken(), THROTTLED
        ),
    )
    def patch(self, request: Request) -> Response:
        """Change the given fields. Username and email address require a recent authentication."""
        user, wanted = user_of(request), read_body(ProfileInput, request)
        if profile.IDENTIFYING.intersection(profile.changes(user, wanted)):
            access_tokens.require_recent_authentication(claims_of(request), at=timezone.now())
        return Response(own_profile(profile.change(user, wanted, client_of(request))))

    @extend_schema(
        operation_id="deleteMe",
        summary="Delete the account",
        request=None,
        responses={204: None},
        extensions=error_responses(*CHANGE_ERRORS, STEP_UP_ERROR, AccountInUse()),
    )
    def delete(self, request: Request) -> Response:
        """Delete the account with its sessions and history. Requires a recent authentication."""
        deletion.delete(user_of(request), client_of(request))
        return cookies.with_cookies_cleared(Response(status=status.HTTP_204_NO_CONTENT), request)
