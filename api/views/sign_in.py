"""Sign-in with a password."""

from collections.abc import Iterable
from functools import partial

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import EmailUnverified, InvalidCredentials
from accounts.sessions import lifecycle, rotation
from accounts.users import credentials
from accounts.values.clients import Client
from api import signals
from api.http import cookies, csrf
from api.openapi.error_responses import BODY_ERRORS, CSRF_ERROR, THROTTLED, error_responses
from api.serializers.inputs import SignInInput
from api.serializers.outputs import SignInOutput, profile, tokens, without_tokens
from api.views.base import PublicView, client_of, read_body


class SignIn(PublicView):
    """Starts a session."""

    @extend_schema(
        operation_id="signIn",
        summary="Sign in with a username or email address",
        request=SignInInput,
        responses={200: SignInOutput},
        extensions=error_responses(InvalidCredentials(), EmailUnverified(), CSRF_ERROR, *BODY_ERRORS, THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Start a session and return its first token pair, or set it as cookies with `useCookies`."""
        body = read_body(SignInInput, request)
        use_cookies = body.get("useCookies", False)
        if use_cookies:
            csrf.require_same_origin(request)
        client = client_of(request)
        with signals.reporting_failure(request, body["username"]):
            user = credentials.authenticate(body["username"], body["password"], client)
        audience, remember = body.get("audience"), body.get("remember", True)
        previous = set(cookies.read_all(request, cookies.REFRESH_NAME)) if use_cookies else set()
        end_previous = partial(_end_sessions, previous, client)
        pair = lifecycle.start(user, client, audience=audience, remember=remember, end_previous=end_previous)
        signals.report_sign_in(request, user, pair)
        if not use_cookies:
            return Response({**profile(user), **tokens(pair)})
        response = Response({**profile(user), **without_tokens(tokens(pair))})
        cookies.set_tokens(response, pair)
        csrf.rotate_csrf_cookies(request, response)
        return response


def _end_sessions(refresh_tokens: Iterable[str], client: Client) -> None:
    # The new cookies replace those of the browser's previous session. End it, so that no one can use it, and
    # before the new one is stored, so that it does not count toward AUTH_MAX_SESSIONS.
    for refresh_token in refresh_tokens:
        rotation.end_by_refresh_token(refresh_token, client)
