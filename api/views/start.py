from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.conf import auth_settings
from api.views.base import PublicView


class StartPage(PublicView):
    """What a person sees who opens the service in a browser."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        """Lead to the documentation."""
        if not auth_settings().start_page:
            raise Http404
        return redirect("docs")
