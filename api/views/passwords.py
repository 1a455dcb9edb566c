"""Password change and password reset."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import InvalidPassword
from accounts.users import passwords
from api.authentication import claims_of
from api.openapi.error_responses import BODY_ERRORS, CHANGE_ERRORS, THROTTLED, error_responses
from api.serializers.inputs import EmailInput, PasswordChangeInput, PasswordResetConfirmInput
from api.views.base import ProtectedView, PublicView, client_of, read_body


class PasswordChange(ProtectedView):
    """Changes the user's password."""

    @extend_schema(
        operation_id="changePassword",
        summary="Change the password",
        request=PasswordChangeInput,
        responses={204: None},
        extensions=error_responses(*CHANGE_ERRORS, *BODY_ERRORS, InvalidPassword(), THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Change the password and end every other session. This session continues with its next refresh."""
        body, claims = read_body(PasswordChangeInput, request), claims_of(request)
        passwords.change(
            claims.user_id, claims.session_id, body["currentPassword"], body["newPassword"], client_of(request)
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordReset(PublicView):
    """Starts a password reset by email."""

    @extend_schema(
        operation_id="resetPassword",
        summary="Request a password reset by email",
        request=EmailInput,
        responses={202: None},
        extensions=error_responses(*BODY_ERRORS, THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Email a link if an account has the address. The response is the same otherwise."""
        passwords.request_reset(read_body(EmailInput, request)["email"], client_of(request))
        return Response(status=status.HTTP_202_ACCEPTED)


class PasswordResetConfirm(PublicView):
    """Completes a password reset by email."""

    @extend_schema(
        operation_id="confirmPasswordReset",
        summary="Set a new password with an emailed token",
        request=PasswordResetConfirmInput,
        responses={204: None},
        extensions=error_responses(*BODY_ERRORS, THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Set the new password and end every session."""
        body = read_body(PasswordResetConfirmInput, request)
        passwords.reset(body["token"], body["newPassword"], client_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
