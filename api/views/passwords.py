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
    """Changes the own password."""

    @extend_schema(
        operation_id="changePassword",
        summary="Change the password",
        request=PasswordChangeInput,
        responses={204: None},
        extensions=error_responses(*CHANGE_ERRORS, *BODY_ERRORS, InvalidPassword(), THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Change it and end every other session; the next refresh of this one brings a current access token."""
        body, claims = read_body(PasswordChangeInput, request), claims_of(request)
        passwords.change(
            claims.user_id, claims.session_id, body["currentPassword"], body["newPassword"], client_of(request)
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordReset(PublicView):
    """Begins a reset by mail."""

    @extend_schema(
        operation_id="resetPassword",
        summary="Ask for a mail that resets the password",
        request=EmailInput,
        responses={202: None},
        extensions=error_responses(*BODY_ERRORS, THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Mail a link, if anyone has the address. The answer is the same if nobody has."""
        passwords.request_reset(read_body(EmailInput, request)["email"], client_of(request))
        return Response(status=status.HTTP_202_ACCEPTED)


class PasswordResetConfirm(PublicView):
    """Ends a reset by mail."""

    @extend_schema(
        operation_id="confirmPasswordReset",
        summary="Choose a new password with a mailed token",
        request=PasswordResetConfirmInput,
        responses={204: None},
        extensions=error_responses(*BODY_ERRORS, THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Set the new password and end every session."""
        body = read_body(PasswordResetConfirmInput, request)
        passwords.reset(body["token"], body["newPassword"], client_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
