"""What the service says of itself: its public keys, its schema, its health."""

from django.db import connection
from django.urls import reverse
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.conf import auth_settings
from accounts.errors import Unavailable
from accounts.keys.key_ring import key_ring
from accounts.keys.rotation import JWKS_MAX_AGE
from accounts.limits.counters import counters
from accounts.tokens import access_tokens
from api.openapi import schema
from api.openapi.refusals import refusals
from api.serializers.outputs import KeySetOutput, MetadataOutput
from api.views.base import PublicView

METADATA_MAX_AGE = 3600  # seconds


class KeySet(PublicView):
    """The public keys, for services that verify access tokens."""

    @extend_schema(
        operation_id="keys",
        summary="Publish the keys that access tokens are verified with",
        responses=KeySetOutput,
        extensions=refusals(),
    )
    def get(self, request: Request) -> Response:
        """Return the JWK set (RFC 7517)."""
        self.headers["Cache-Control"] = f"public, max-age={JWKS_MAX_AGE}"
        return Response(key_ring().jwks())


class Metadata(PublicView):
    """What a verifier that knows the issuer alone needs to find the rest."""

    @extend_schema(
        operation_id="metadata",
        summary="Say where the rest is found",
        responses=MetadataOutput,
        extensions=refusals(),
    )
    def get(self, request: Request) -> Response:
        """Return the authorization server metadata (RFC 8414 section 2)."""
        issuer = access_tokens.issuer()
        own = issuer if issuer.startswith(("https://", "http://")) else auth_settings().public_url
        base = (own or request.build_absolute_uri("/")).rstrip("/")
        methods = ["client_secret_basic", "client_secret_post"]
        metadata = {
            "issuer": issuer,
            "jwks_uri": base + reverse("keys"),
            "introspection_endpoint": base + reverse("introspection"),
            "introspection_endpoint_auth_methods_supported": methods,
            "revocation_endpoint": base + reverse("revocation"),
            "revocation_endpoint_auth_methods_supported": methods,
            "service_documentation": base + reverse("docs"),
        }
        # People sign in by this API, not by an OAuth flow. What is supported of those would be empty lists, which
        # section 3.2 wants left out.
        self.headers["Cache-Control"] = f"public, max-age={METADATA_MAX_AGE}"
        return Response(metadata)


class Schema(PublicView):
    """The OpenAPI document."""

    renderer_classes = (OpenApiJsonRenderer,)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Return it."""
        return Response(schema.document())


class Docs(PublicView, SpectacularSwaggerSplitView):
    """The page of the OpenAPI document; it loads nothing from elsewhere, and runs no script but from files."""

    renderer_classes = [TemplateHTMLRenderer]
    template_name = "api/docs.html"  # the library's own does not say in which language it is


class Liveness(PublicView):
    """Whether this process answers at all."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Answer, asking nothing else."""
        return Response({"status": "ok"})


class Readiness(PublicView):
    """Whether what this process stands on can be reached."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Ask the database and the cache."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not counters().check():
            raise Unavailable
        return Response({"status": "ok"})
