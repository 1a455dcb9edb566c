"""Step-up: confirm the password again (RFC 9470)."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import InvalidPassword
from accounts.sessions import lifecycle
from accounts.users import credentials
from api.authentication import claims_of, is_cookie_authenticated
from api.http import cookies
from api.openapi.error_responses import BODY_ERRORS, CHANGE_ERRORS, THROTTLED, error_responses
from api.serializers.inputs import PasswordInput
from api.serializers.outputs import AccessTokenOutput, access_token, without_tokens
from api.views.base import ProtectedView, client_of, read_body


class Reauthenticate(ProtectedView):
    """Confirms the password before a sensitive action (step-up, RFC 9470)."""

    @extend_schema(
        operation_id="reauthenticate",
        summary="Confirm the password to renew auth_time",
        request=PasswordInput,
        responses={200: AccessTokenOutput},
        extensions=error_responses(*CHANGE_ERRORS, *BODY_ERRORS, InvalidPassword(), THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Return an access token with a new `auth_time`."""
        password = read_body(PasswordInput, request)["password"]
        claims, client = claims_of(request), client_of(request)
        user = credentials.confirm(claims.user_id, password, client)
        access = lifecycle.step_up(claims.session_id, user, client)
        if not is_cookie_authenticated(request):
            return Response(access_token(access))
        response = Response(without_tokens(access_token(access)))
        cookies.set_access_token(response, access)
        return response
