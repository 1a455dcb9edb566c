"""What the service says of itself: its public keys, its schema, its health."""

from django.db import connection
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerView
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import Unavailable
from accounts.guess_counters import counters
from accounts.key_ring import key_ring
from accounts.key_rotation import JWKS_MAX_AGE
from api import schema
from api.views.base import PublicView


class KeySet(PublicView):
    """The public keys, for services that verify access tokens."""

    @extend_schema(operation_id="keys", responses=dict[str, list[dict[str, str]]])
    def get(self, request: Request) -> Response:
        """Return the JWK set (RFC 7517)."""
        return Response(key_ring().jwks(), headers={"Cache-Control": f"public, max-age={JWKS_MAX_AGE}"})


class Schema(PublicView):
    """The OpenAPI document."""

    renderer_classes = (OpenApiJsonRenderer,)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Return it."""
        return Response(schema.document())


class Docs(PublicView, SpectacularSwaggerView):
    """The page of the OpenAPI document; it loads nothing from elsewhere."""

    renderer_classes = [TemplateHTMLRenderer]


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
