"""Refresh: exchange a refresh token for the next token pair."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import (
    RefreshTokenExpired,
    RefreshTokenMissing,
    RefreshTokenReused,
    RefreshTokenRevoked,
    RefreshTokenUnknown,
)
from accounts.sessions import rotation
from api.http import cookies, csrf
from api.openapi.error_responses import BODY_ERRORS, CSRF_ERROR, error_responses
from api.serializers.inputs import RefreshInput
from api.serializers.outputs import TokensOutput, tokens, without_tokens
from api.views.base import PublicView, client_of, read_body

REFRESH_ERRORS = (RefreshTokenUnknown, RefreshTokenExpired, RefreshTokenReused, RefreshTokenRevoked)


class Refresh(PublicView):
    """Issues a new token pair for a refresh token."""

    @extend_schema(
        operation_id="refresh",
        summary="Exchange a refresh token for a new token pair",
        request=RefreshInput,
        responses={200: TokensOutput},
        extensions=error_responses(
            RefreshTokenMissing(), *(error_class() for error_class in REFRESH_ERRORS), CSRF_ERROR, *BODY_ERRORS
        ),
    )
    def post(self, request: Request) -> Response:
        """Return the next token pair. A refresh token that was already used ends its session.

        If the body has no refresh token, the one in the cookie is used, and the new tokens are set as cookies.
        """
        body = read_body(RefreshInput, request)
        audience = body.get("audience")
        if refresh_token := body.get("refreshToken"):
            return Response(tokens(rotation.rotate(refresh_token, client_of(request), audience=audience)))
        return self._refresh_cookies(request, audience)

    def _refresh_cookies(self, request: Request, audience: str | None) -> Response:
        refresh_token = cookies.refresh_token_in(request)
        if not refresh_token:
            raise RefreshTokenMissing
        csrf.require_csrf_token(request)
        try:
            pair = rotation.rotate(refresh_token, client_of(request), audience=audience)
        except REFRESH_ERRORS as error:
            # The cookies are useless now.
            return cookies.with_cookies_cleared(self.handle_exception(error), request)
        response = Response(without_tokens(tokens(pair)))
        cookies.set_tokens(response, pair)
        csrf.renew_csrf_cookies(request, response)
        return response
