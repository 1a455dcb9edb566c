"""Sign-in: with a password, then a second factor if the user has one, or with a passkey."""

from functools import partial
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import EmailUnverified, InvalidCredentials
from accounts.factor_errors import AuthSessionInvalid, InvalidCode, InvalidPasskey, SecondFactorRequired
from accounts.sessions import lifecycle, rotation
from accounts.users import sign_in
from accounts.users.sign_in import Authenticated, SignInOptions
from accounts.values.clients import Client
from api import signals
from api.http import cookies, csrf
from api.openapi.error_responses import BODY_ERRORS, CSRF_ERROR, EXAMPLE_OF_SECOND_STEP, THROTTLED, error_responses
from api.serializers.factors import PasskeyOptionsOutput, PasskeySignInInput, SecondFactorInput, presented_factor
from api.serializers.inputs import SignInInput
from api.serializers.outputs import SignInOutput, profile, tokens, without_tokens
from api.views.base import PublicView, client_of, read_body


class SignIn(PublicView):
    """Starts a session with a password."""

    @extend_schema(
        operation_id="signIn",
        summary="Sign in with a username or email address",
        request=SignInInput,
        responses={200: SignInOutput},
        extensions=error_responses(
            InvalidCredentials(),
            EmailUnverified(),
            SecondFactorRequired(EXAMPLE_OF_SECOND_STEP),
            CSRF_ERROR,
            *BODY_ERRORS,
            THROTTLED,
        ),
    )
    def post(self, request: Request) -> Response:
        """Start a session and return its first token pair, or set it as cookies with `useCookies`.

        If the account has a second factor, the response is `second_factor_required`, and the sign-in is completed
        with `POST /api/auth/signin/second-factor`.
        """
        body = read_body(SignInInput, request)
        options = _options(request, body)
        with signals.reporting_failure(request, body["username"]):
            authenticated = sign_in.with_password(body["username"], body["password"], client_of(request), options)
        return _open_session(request, authenticated)


class SignInWithSecondFactor(PublicView):
    """Completes a sign-in with a second factor."""

    @extend_schema(
        operation_id="completeSignIn",
        summary="Complete a sign-in with a second factor",
        request=SecondFactorInput,
        responses={200: SignInOutput},
        extensions=error_responses(
            AuthSessionInvalid(), InvalidCode(), InvalidCredentials(), CSRF_ERROR, *BODY_ERRORS, THROTTLED
        ),
    )
    def post(self, request: Request) -> Response:
        """Start the session as the first step asked for. At most ten attempts in five minutes are allowed."""
        body = read_body(SecondFactorInput, request)
        pending = sign_in.find_pending(body["authSession"])
        if sign_in.options_of(pending).use_cookies:
            csrf.require_same_origin(request)
        with signals.reporting_failure(request, pending.owner.username):
            authenticated = sign_in.with_second_factor(pending, presented_factor(body), client_of(request))
        return _open_session(request, authenticated)


class PasskeySignInOptions(PublicView):
    """The options to sign in with a passkey."""

    @extend_schema(
        operation_id="passkeyRequestOptions",
        summary="Get the options to sign in with a passkey",
        request=None,
        responses={200: PasskeyOptionsOutput},
        extensions=error_responses(),
    )
    def post(self, request: Request) -> Response:
        """Return options for `navigator.credentials.get`, valid for five minutes."""
        return Response(sign_in.passkey_options())


class SignInWithPasskey(PublicView):
    """Starts a session with a passkey alone."""

    @extend_schema(
        operation_id="signInWithPasskey",
        summary="Sign in with a passkey",
        request=PasskeySignInInput,
        responses={200: SignInOutput},
        extensions=error_responses(InvalidPasskey(), EmailUnverified(), CSRF_ERROR, *BODY_ERRORS, THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """Start a session. The passkey counts as two factors, because the device verifies its user."""
        body = read_body(PasskeySignInInput, request)
        options = _options(request, body)
        with signals.reporting_failure(request, ""):
            authenticated = sign_in.with_passkey(body["credential"], client_of(request), options)
        return _open_session(request, authenticated)


def _options(request: Request, body: dict[str, Any]) -> SignInOptions:
    """Return what the client asks for. A sign-in that sets cookies must come from an allowed origin.

    Raises CsrfFailed.
    """
    use_cookies = body.get("useCookies", False)
    if use_cookies:
        csrf.require_same_origin(request)
    return SignInOptions(
        audience=body.get("audience"), remember=body.get("remember", True), use_cookies=use_cookies
    )


def _open_session(request: Request, authenticated: Authenticated) -> Response:
    user, options, client = authenticated.user, authenticated.options, client_of(request)
    pair = lifecycle.start(
        user,
        client,
        authenticated.authentication,
        audience=options.audience,
        remember=options.remember,
        end_previous=partial(_end_sessions_of_cookies, request, client) if options.use_cookies else lambda: None,
    )
    signals.report_sign_in(request, user, pair)
    if not options.use_cookies:
        return Response({**profile(user), **tokens(pair)})
    response = Response({**profile(user), **without_tokens(tokens(pair))})
    cookies.set_tokens(response, pair)
    csrf.rotate_csrf_cookies(request, response)
    return response


def _end_sessions_of_cookies(request: Request, client: Client) -> None:
    """End the browser's previous session, whose cookies are replaced, so that no one can use it.

    It does not count toward AUTH_MAX_SESSIONS any more.
    """
    for previous in set(cookies.read_all(request, cookies.REFRESH_NAME)):
        rotation.end_by_refresh_token(previous, client)
