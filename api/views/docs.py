from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from api.openapi import schema
from api.views.base import PublicView


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
