"""Sign-out, on one device or everywhere."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import EndReason
from accounts.sessions import lifecycle, rotation
from api import signals
from api.authentication import claims_of, is_cookie_authenticated
from api.http import cookies, csrf
from api.openapi.error_responses import BODY_ERRORS, CHANGE_ERRORS, error_responses
from api.serializers.inputs import RefreshTokenInput
from api.views.base import ProtectedView, client_of, read_body


class SignOut(ProtectedView):
    """Ends the session of the refresh token or, without one, of the access token."""

    permission_classes = (AllowAny,)

    def perform_authentication(self, request: Request) -> None:
        """Do nothing yet: with a refresh token, an access token in the same request is ignored."""

    @extend_schema(
        operation_id="signOut",
        summary="End this session",
        request=RefreshTokenInput,
        responses={204: None},
        extensions=error_responses(*CHANGE_ERRORS, *BODY_ERRORS),
    )
    def post(self, request: Request) -> Response:
        """End the session. Any refresh token gets 204, whatever its state.

        A refresh token in the body takes precedence over an access token in a header, and that over cookies.
        """
        refresh_token = read_body(RefreshTokenInput, request).get("refreshToken")
        if refresh_token:
            signals.report_sign_out(request, rotation.end_by_refresh_token(refresh_token, client_of(request)))
            return Response(status=status.HTTP_204_NO_CONTENT)
        from_cookie = cookies.refresh_token_in(request) if is_cookie_authenticated(request) else None
        if from_cookie:
            csrf.require_csrf_token(request)
            signals.report_sign_out(request, rotation.end_by_refresh_token(from_cookie, client_of(request)))
        else:
            claims = claims_of(request)
            lifecycle.end(claims.session_id, EndReason.SIGNED_OUT, client_of(request))
            signals.report_sign_out(request, claims.user_id)
        return cookies.with_cookies_cleared(Response(status=status.HTTP_204_NO_CONTENT), request)


class SignOutAll(ProtectedView):
    """Ends every session of the user."""

    @extend_schema(
        operation_id="signOutAll",
        summary="End every session of the user",
        request=None,
        responses={204: None},
        extensions=error_responses(*CHANGE_ERRORS),
    )
    def post(self, request: Request) -> Response:
        """End all sessions, including this one."""
        user_id = claims_of(request).user_id
        lifecycle.end_all(user_id, EndReason.SIGNED_OUT_EVERYWHERE, client_of(request))
        signals.report_sign_out(request, user_id)
        return cookies.with_cookies_cleared(Response(status=status.HTTP_204_NO_CONTENT), request)
