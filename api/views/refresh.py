from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import sessions
from accounts.errors import RefreshTokenMissing
from api.schema import refusals
from api.serializers import RefreshInput, TokensOutput, tokens
from api.views.base import PublicView, client_of, read


class Refresh(PublicView):
    """Keeps sessions going."""

    @extend_schema(
        operation_id="refresh",
        summary="Swap a refresh token for a new token pair",
        request=RefreshInput,
        responses={200: TokensOutput, **refusals(400, 403, 413, 415)},
    )
    def post(self, request: Request) -> Response:
        """Answer with the next generation. A spent refresh token ends its session."""
        refresh_token = read(RefreshInput, request).get("refreshToken")
        if not refresh_token:
            raise RefreshTokenMissing
        return Response(tokens(sessions.rotate(refresh_token, client_of(request))))
