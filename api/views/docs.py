"""The OpenAPI document and its interactive page."""

from typing import Any

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
        """Return the OpenAPI document."""
        return Response(schema.document())


class Docs(PublicView, SpectacularSwaggerSplitView):
    """The interactive page of the OpenAPI document.

    It loads nothing from other hosts and has no inline scripts.
    """

    renderer_classes = [TemplateHTMLRenderer]
    template_name = "api/docs.html"  # drf-spectacular's own template has no lang attribute

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **options: Any) -> Response:
        """Return the page, or its script, which is the same for everyone."""
        response: Response = super().get(request, *args, **options)  # type: ignore[no-untyped-call]  # in the library
        # drf-spectacular's script contains a CSRF token of the user. A page of another site can load a script with
        # the user's cookies, and read what is in it.
        response.data["csrf_token"] = ""
        return response
