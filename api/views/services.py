"""Endpoints for registered services: token introspection (RFC 7662) and revocation (RFC 7009)."""

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
"""HTTP Basic, or credentials in the body."""


class _ServiceView(PublicView):
    """A view for registered services. Errors have the names of RFC 6749 section 5.2 as well."""

    def handle_exception(self, exc: Exception) -> Response:
        """Add `error` and `error_description` to the error response."""
        response = super().handle_exception(exc)
        response.data |= {"error": response.data["code"], "error_description": response.data["message"]}
        return response


class Introspection(_ServiceView):
    """Reports whether a token is active."""

    @extend_schema(
        operation_id="introspect",
        summary="Introspect a token",
        request=TokenInput,
        responses={200: IntrospectionOutput},
        auth=SERVICE_SECURITY,
        extensions=error_responses(InvalidClient(), *BODY_ERRORS),
    )
    def post(self, request: Request) -> Response:
        """Return the token's claims, or that it is not active."""
        body = read_body(TokenInput, request)
        service = _authenticate_service(request, body)
        return Response(services.introspect(service, body["token"]) or {"active": False})


class Revocation(_ServiceView):
    """Ends the session of a token."""

    @extend_schema(
        operation_id="revoke",
        summary="Revoke a token",
        request=TokenInput,
        responses={200: None},
        auth=SERVICE_SECURITY,
        extensions=error_responses(InvalidClient(), *BODY_ERRORS),
    )
    def post(self, request: Request) -> Response:
        """End the session of the token. An invalid token gets the same response."""
        body = read_body(TokenInput, request)
        services.revoke(_authenticate_service(request, body), body["token"], client_of(request))
        return Response(status=status.HTTP_200_OK)


def _authenticate_service(request: Request, body: dict[str, Any]) -> Service:
    """Authenticate the service with HTTP Basic or with the body, but not with both (RFC 6749 section 2.3).

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
