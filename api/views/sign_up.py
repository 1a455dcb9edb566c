"""Sign-up."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import (
    EmailTaken,
    InvitationInvalid,
    RoleNotAllowed,
    RoleUnknown,
    SignUpClosed,
    UsernameTaken,
)
from accounts.users.registration import register
from accounts.values.languages import choose
from api.http.languages import preferred
from api.openapi.error_responses import BODY_ERRORS, THROTTLED, error_responses
from api.serializers.inputs import SignUpInput
from api.serializers.outputs import SignUpOutput, profile
from api.views.base import PublicView, client_of, read_body

DEFAULTS = {"username": "", "fullname": "", "roles": ()}


class SignUp(PublicView):
    """Creates an account."""

    @extend_schema(
        operation_id="signUp",
        summary="Create an account",
        request=SignUpInput,
        responses={201: SignUpOutput},
        extensions=error_responses(
            *BODY_ERRORS,
            UsernameTaken(),
            EmailTaken(),
            RoleUnknown("pilot"),
            RoleNotAllowed(),
            SignUpClosed(),
            InvitationInvalid(),
            THROTTLED,
        ),
    )
    def post(self, request: Request) -> Response:
        """Create an account with the default role, or with the requested roles that AUTH_SIGNUP_ROLES allows.

        AUTH_SIGNUP may require an emailed invitation. An invited user has the invited address, which counts as
        verified, and the roles of the invitation as well.
        """
        fields = {**DEFAULTS, **read_body(SignUpInput, request)}
        if "language" not in fields:
            fields["language"] = choose(preferred(request))
        user = register(**fields, client=client_of(request))
        body = {"message": "User was registered successfully!", **profile(user)}
        return Response(body, status.HTTP_201_CREATED)
