from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.users import email_verification
from api.openapi.error_responses import BODY_ERRORS, THROTTLED, error_responses
from api.serializers.inputs import EmailInput, MailTokenInput
from api.views.base import PublicView, client_of, read_body


class EmailVerify(PublicView):
    """Verifies e-mail addresses."""

    @extend_schema(
        operation_id="verifyEmail",
        summary="Verify an e-mail address with a mailed token",
        request=MailTokenInput,
        responses={204: None},
        extensions=error_responses(*BODY_ERRORS, THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Take the address for verified."""
        email_verification.verify(read_body(MailTokenInput, request)["token"], client_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class EmailVerifyResend(PublicView):
    """Mails the link once more."""

    @extend_schema(
        operation_id="resendVerification",
        summary="Ask for another verification mail",
        request=EmailInput,
        responses={202: None},
        extensions=error_responses(*BODY_ERRORS, THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Mail a link, if anyone has the address and has not verified it. The answer is the same if not."""
        email_verification.request_link(read_body(EmailInput, request)["email"], client_of(request))
        return Response(status=status.HTTP_202_ACCEPTED)
