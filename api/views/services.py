"""What registered services ask: introspection (RFC 7662) and revocation (RFC 7009)."""

import binascii
from base64 import b64decode
from typing import Any
from urllib.parse import unquote_plus

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import InvalidClient
from accounts.models import Service
from accounts.sessions import services
from api.openapi.error_responses import BODY_ERRORS, error_responses
from api.serializers.inputs import TokenInput
from api.serializers.outputs import IntrospectionOutput
from api.views.base import PublicView, client_of, read_body

SERVICE_SECURITY: Any = [{"service": []}, {}]
"""By HTTP Basic, or by what the body says."""


class _ServiceView(PublicView):
    """Open to services that prove themselves; refusals are spelled as RFC 6749 section 5.2 does, too."""

    def handle_exception(self, exc: Exception) -> Response:
        """Add the names that OAuth has for what was refused."""
        response = super().handle_exception(exc)
        response.data |= {"error": response.data["code"], "error_description": response.data["message"]}
        return response


class Introspection(_ServiceView):
    """Tells services whether a token is good at this moment."""

    @extend_schema(
        operation_id="introspect",
        summary="Tell a registered service what a token says, if it is good",
        request=TokenInput,
        responses={200: IntrospectionOutput},
        auth=SERVICE_SECURITY,
        extensions=error_responses(InvalidClient(), *BODY_ERRORS),
    )
    def post(self, request: Request) -> Response:
        """Tell what the token says, or that it is not active."""
        body = read_body(TokenInput, request)
        service = _authenticate_service(request, body)
        return Response(services.introspect(service, body["token"]) or {"active": False})


class Revocation(_ServiceView):
    """Lets services end sessions."""

    @extend_schema(
        operation_id="revoke",
        summary="Let a registered service end the session of a token",
        request=TokenInput,
        responses={200: None},
        auth=SERVICE_SECURITY,
        extensions=error_responses(InvalidClient(), *BODY_ERRORS),
    )
    def post(self, request: Request) -> Response:
        """End the session. A token that is none gets the same answer."""
        body = read_body(TokenInput, request)
        services.revoke(_authenticate_service(request, body), body["token"], client_of(request))
        return Response(status=status.HTTP_200_OK)


def _authenticate_service(request: Request, body: dict[str, Any]) -> Service:
    """Authenticate the service by HTTP Basic or by the body, not by both (RFC 6749 section 2.3).

    Raises InvalidClient.
    """
    header = request.META.get("HTTP_AUTHORIZATION", "")
    in_body = (body.get("client_id", ""), body.get("client_secret", ""))
    if header and any(in_body):
        raise InvalidClient
    return services.authenticate(*(_parse_basic(header) if header else in_body))


def _parse_basic(header: str) -> tuple[str, str]:
    scheme, _, credentials = header.partition(" ")
    try:
        decoded = b64decode(credentials.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, ValueError):
        raise InvalidClient from None
    client_id, _, secret = decoded.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)
