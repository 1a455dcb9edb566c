"""Verification of email addresses."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.users import email_verification
from api.openapi.error_responses import BODY_ERRORS, THROTTLED, error_responses
from api.serializers.inputs import EmailInput, MailTokenInput
from api.views.base import PublicView, client_of, read_body


class EmailVerify(PublicView):
    """Verifies an email address."""

    @extend_schema(
        operation_id="verifyEmail",
        summary="Verify an email address with an emailed token",
        request=MailTokenInput,
        responses={204: None},
        extensions=error_responses(*BODY_ERRORS, THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Mark the address as verified."""
        email_verification.verify(read_body(MailTokenInput, request)["token"], client_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class EmailVerifyResend(PublicView):
    """Sends another verification email."""

    @extend_schema(
        operation_id="resendVerification",
        summary="Request another verification email",
        request=EmailInput,
        responses={202: None},
        extensions=error_responses(*BODY_ERRORS, THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Email a link if an account has the address and has not verified it.

        The response is the same otherwise.
        """
        email_verification.request_link(read_body(EmailInput, request)["email"], client_of(request))
        return Response(status=status.HTTP_202_ACCEPTED)
