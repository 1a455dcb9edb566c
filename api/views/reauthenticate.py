"""Step-up: present the password or a second factor again (RFC 9470)."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import InvalidPassword
from accounts.factor_errors import InvalidCode
from accounts.tokens.access_tokens import AccessToken
from accounts.users import reauthentication
from api.authentication import claims_of, is_cookie_authenticated
from api.http import cookies
from api.openapi.error_responses import BODY_ERRORS, CHANGE_ERRORS, THROTTLED, error_responses
from api.serializers.factors import PasskeyOptionsOutput, ReauthenticationInput, presented_factor
from api.serializers.outputs import AccessTokenOutput, access_token, without_tokens
from api.views.base import ProtectedView, client_of, read_body, user_of


class Reauthenticate(ProtectedView):
    """Verifies the password or a second factor before a sensitive action (step-up, RFC 9470)."""

    @extend_schema(
        operation_id="reauthenticate",
        summary="Confirm the password or a second factor to renew auth_time",
        request=ReauthenticationInput,
        responses={200: AccessTokenOutput},
        extensions=error_responses(*CHANGE_ERRORS, *BODY_ERRORS, InvalidPassword(), InvalidCode(), THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Return an access token with a new `auth_time`. A second factor raises `acr` to 2."""
        access = self._authenticate_again(request)
        if not is_cookie_authenticated(request):
            return Response(access_token(access))
        response = Response(without_tokens(access_token(access)))
        cookies.set_access_token(response, access)
        return response

    def _authenticate_again(self, request: Request) -> AccessToken:
        body = read_body(ReauthenticationInput, request)
        claims, client = claims_of(request), client_of(request)
        if "password" in body:
            return reauthentication.with_password(claims.user_id, claims.session_id, body["password"], client)
        return reauthentication.with_second_factor(
            claims.user_id, claims.session_id, presented_factor(body), client
        )


class PasskeyReauthenticationOptions(ProtectedView):
    """The options to present a passkey in a step-up."""

    @extend_schema(
        operation_id="passkeyReauthenticationOptions",
        summary="Get the options to confirm with a passkey",
        request=None,
        responses={200: PasskeyOptionsOutput},
        extensions=error_responses(*CHANGE_ERRORS),
    )
    def post(self, request: Request) -> Response:
        """Return options for `navigator.credentials.get`, valid for five minutes in this session."""
        return Response(reauthentication.passkey_options(user_of(request), claims_of(request).session_id))
