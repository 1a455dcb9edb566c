from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import credentials, sessions
from api.schema import refusals
from api.serializers import SignInInput, SignInOutput, profile, tokens
from api.views.base import PublicView, client_of, read


class SignIn(PublicView):
    """Opens sessions."""

    @extend_schema(
        operation_id="signIn",
        summary="Sign in by username or e-mail address",
        request=SignInInput,
        responses={200: SignInOutput, **refusals(400, 401, 413, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Open a session and hand out its first token pair."""
        body = read(SignInInput, request)
        client = client_of(request)
        user = credentials.authenticate(body["username"], body["password"], client)
        return Response({**profile(user), **tokens(sessions.start(user, client))})
