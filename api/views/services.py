"""Endpoints for registered services: token introspection (RFC 7662) and revocation (RFC 7009)."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import InvalidClient
from accounts.models import Service
from accounts.sessions import services
from accounts.sso import applications, revocation, service_tokens
from api.http.client_credentials import read_credentials
from api.openapi.error_responses import BODY_ERRORS, CLIENT_SECURITY, THROTTLED, error_responses
from api.serializers.inputs import TokenInput
from api.serializers.outputs import IntrospectionOutput
from api.views.base import OAuthView, client_of, read_body


class Introspection(OAuthView):
    """Reports whether a token is active."""

    @extend_schema(
        operation_id="introspect",
        summary="Introspect a token",
        request=TokenInput,
        responses={200: IntrospectionOutput},
        auth=CLIENT_SECURITY,
        extensions=error_responses(InvalidClient(), *BODY_ERRORS),
    )
    def post(self, request: Request) -> Response:
        """Return the token's claims, or that it is not active."""
        body = read_body(TokenInput, request)
        service = _authenticate_service(request, body)
        token = body["token"]
        active = services.introspect(service, token) or service_tokens.introspect(service, token)
        return Response(active or {"active": False})


class Revocation(OAuthView):
    """Ends the session of a token."""

    @extend_schema(
        operation_id="revoke",
        summary="Revoke a token",
        request=TokenInput,
        responses={200: None},
        auth=CLIENT_SECURITY,
        extensions=error_responses(InvalidClient(), *BODY_ERRORS, THROTTLED),
    )
    def post(self, request: Request) -> Response:
        """End the session of the token. An invalid token gets the same response, and so does another's.

        A service can revoke the access tokens for its audience and every refresh token, an application its own.
        """
        body, client = read_body(TokenInput, request), client_of(request)
        credentials = read_credentials(request, body)
        if applications.find(credentials.client_id) is None:
            services.revoke(_authenticate_service(request, body), body["token"], client)
        else:
            application = applications.authenticate(credentials.client_id, credentials.secret, client)
            revocation.revoke(application, body["token"], client)
        return Response(status=status.HTTP_200_OK)


def _authenticate_service(request: Request, body: dict[str, Any]) -> Service:
    """Authenticate the service.

    Raises InvalidClient.
    """
    credentials = read_credentials(request, body)
    return services.authenticate(credentials.client_id, credentials.secret or "")
