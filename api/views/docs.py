"""The OpenAPI document and its interactive page."""

from typing import Any

from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.openapi import schema
from api.views.base import PublicView
from api.views.pages import Page


class Schema(PublicView):
    """The OpenAPI document."""

    renderer_classes = (OpenApiJsonRenderer,)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Return the OpenAPI document."""
        return Response(schema.document())


class Docs(Page):
    """The interactive page of the OpenAPI document. It loads nothing from other hosts."""

    template_name = "api/docs.html"
    # Swagger UI's style sheet contains its icons.
    content_policy = Page.content_policy.replace("img-src 'self'", "img-src 'self' data:")

    def get_context_data(self, **options: Any) -> dict[str, Any]:
        """Return which page of the navigation this is."""
        return super().get_context_data(page="docs", **options)
