"""The second factors of the signed-in user."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import NotFound
from accounts.factor_errors import InvalidCode, SecondFactorRequired
from accounts.factors import changes, enrollment, listing, recovery_codes
from accounts.tokens import access_tokens
from accounts.values import devices
from api.authentication import claims_of
from api.openapi.error_responses import (
    BODY_ERRORS,
    CHANGE_ERRORS,
    STEP_UP_ERROR,
    THROTTLED,
    TOKEN_ERRORS,
    error_responses,
)
from api.serializers import factors as fields
from api.views.base import ProtectedView, client_of, read_body, user_of

_DEFAULT_AUTHENTICATOR_NAME = "Authenticator app"
_FACTOR_ID = OpenApiParameter(
    "factor_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The `id` from the list of factors."
)
_STEP_UP_ERRORS = (STEP_UP_ERROR, SecondFactorRequired())


class Factors(ProtectedView):
    """The user's second factors."""

    @extend_schema(
        operation_id="factors",
        summary="List the second factors",
        responses={200: fields.FactorsOutput},
        extensions=error_responses(*TOKEN_ERRORS),
    )
    def get(self, request: Request) -> Response:
        """Return the factors, oldest first, and how many recovery codes are left."""
        user = user_of(request)
        return Response(fields.factors(listing.factors_of(user), recovery_codes.count(user)))


class RecentlyAuthenticatedView(ProtectedView):
    """A view for users who authenticated recently, with a second factor if they have one."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate the request, and require a step-up if the last authentication is not recent.

        Raises SecondFactorRequired or RecentAuthenticationRequired. The first one comes first: presenting a factor
        renews both.
        """
        super().initial(request, *args, **kwargs)
        user, claims = user_of(request), claims_of(request)
        if user.has_second_factor:
            enrollment.require_recent_factor(user, claims.session_id)
        else:
            access_tokens.require_recent_authentication(claims, at=timezone.now())


class Authenticators(RecentlyAuthenticatedView):
    """Adding an authenticator app."""

    @extend_schema(
        operation_id="addAuthenticator",
        summary="Begin to add an authenticator app",
        request=fields.AuthenticatorInput,
        responses={201: fields.AuthenticatorOutput},
        extensions=error_responses(*CHANGE_ERRORS, *BODY_ERRORS, *_STEP_UP_ERRORS),
    )
    def post(self, request: Request) -> Response:
        """Return the secret for the app. It becomes a factor once its first code is confirmed."""
        name = read_body(fields.AuthenticatorInput, request).get("name", _DEFAULT_AUTHENTICATOR_NAME)
        session_id = claims_of(request).session_id
        authenticator_id, app = enrollment.begin_authenticator(user_of(request), name, session_id)
        body = {"id": authenticator_id, "secret": app.secret, "uri": app.uri, "qrCode": app.qr_code}
        return Response(body, status.HTTP_201_CREATED)


class AuthenticatorConfirmation(RecentlyAuthenticatedView):
    """Confirming an authenticator app."""

    @extend_schema(
        operation_id="confirmAuthenticator",
        summary="Confirm an authenticator app with its first code",
        request=fields.AuthenticatorConfirmInput,
        responses={200: fields.EnrolledOutput},
        extensions=error_responses(
            *CHANGE_ERRORS, *BODY_ERRORS, *_STEP_UP_ERRORS, InvalidCode(), NotFound(), THROTTLED
        ),
    )
    def post(self, request: Request) -> Response:
        """Make the app a factor. With the user's first factor, return recovery codes."""
        body = read_body(fields.AuthenticatorConfirmInput, request)
        session_id = claims_of(request).session_id
        added = enrollment.confirm_authenticator(
            user_of(request), body["id"], body["code"], session_id, client_of(request)
        )
        return Response(fields.enrolled(added))


class PasskeyOptions(RecentlyAuthenticatedView):
    """The options to register a passkey."""

    @extend_schema(
        operation_id="passkeyCreationOptions",
        summary="Get the options to register a passkey",
        request=None,
        responses={200: fields.PasskeyOptionsOutput},
        extensions=error_responses(*CHANGE_ERRORS, *_STEP_UP_ERRORS),
    )
    def post(self, request: Request) -> Response:
        """Return options for `navigator.credentials.create`, valid for five minutes in this session."""
        return Response(enrollment.begin_passkey(user_of(request), claims_of(request).session_id))


class Passkeys(RecentlyAuthenticatedView):
    """Adding a passkey."""

    @extend_schema(
        operation_id="addPasskey",
        summary="Add a passkey",
        request=fields.PasskeyInput,
        responses={201: fields.EnrolledOutput},
        extensions=error_responses(*CHANGE_ERRORS, *BODY_ERRORS, *_STEP_UP_ERRORS),
    )
    def post(self, request: Request) -> Response:
        """Verify the browser's response and store the passkey. With the first factor, return recovery codes."""
        body, client = read_body(fields.PasskeyInput, request), client_of(request)
        name = body.get("name") or f"Passkey on {devices.describe_common(client.user_agent)}"
        session_id = claims_of(request).session_id
        added = enrollment.add_passkey(user_of(request), name, body["credential"], session_id, client)
        return Response(fields.enrolled(added), status.HTTP_201_CREATED)


class RecoveryCodes(RecentlyAuthenticatedView):
    """Renewing the recovery codes."""

    @extend_schema(
        operation_id="renewRecoveryCodes",
        summary="Replace the recovery codes",
        request=None,
        responses={200: fields.RecoveryCodesOutput},
        extensions=error_responses(*CHANGE_ERRORS, *_STEP_UP_ERRORS),
    )
    def post(self, request: Request) -> Response:
        """Return ten new codes. The old ones are void."""
        session_id = claims_of(request).session_id
        codes = enrollment.renew_recovery_codes(user_of(request), session_id, client_of(request))
        return Response({"recoveryCodes": codes})


class FactorDetail(RecentlyAuthenticatedView):
    """One of the user's second factors."""

    @extend_schema(
        operation_id="renameFactor",
        summary="Rename a second factor",
        request=fields.FactorNameInput,
        parameters=[_FACTOR_ID],
        responses={200: fields.FactorOutput},
        extensions=error_responses(*CHANGE_ERRORS, *BODY_ERRORS, *_STEP_UP_ERRORS, NotFound()),
    )
    def patch(self, request: Request, factor_id: str) -> Response:
        """Rename the factor. Factors of other users are not found."""
        name = read_body(fields.FactorNameInput, request)["name"]
        session_id = claims_of(request).session_id
        renamed = changes.rename(user_of(request), UUID(factor_id), name, session_id, client_of(request))
        return Response(fields.factor(renamed))

    @extend_schema(
        operation_id="removeFactor",
        summary="Remove a second factor",
        request=None,
        parameters=[_FACTOR_ID],
        responses={204: None},
        extensions=error_responses(*CHANGE_ERRORS, *_STEP_UP_ERRORS, NotFound()),
    )
    def delete(self, request: Request, factor_id: str) -> Response:
        """Remove the factor; with the last one, also the recovery codes. Factors of other users are not found."""
        session_id = claims_of(request).session_id
        changes.remove(user_of(request), UUID(factor_id), session_id, client_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
