"""The start page, which uses the API like any front end, and what all pages with scripts have."""

import math
from functools import cache
from pathlib import Path
from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import TemplateView

from accounts.conf import auth_settings
from api import messages
from api.errors import method_not_allowed
from api.http import languages

_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_ICON_LIFETIME = 7 * 24 * 3600  # seconds


class Page(TemplateView):
    """A page in the language of the browser.

    It is not cached and sends no referrer.
    """

    http_method_names = ["get", "head"]
    content_policy = _CONTENT_POLICY

    @classmethod
    def as_view(cls, **options: Any) -> Any:
        """Return the view."""
        # Pages accept no POST. Without the exemption, Django would respond with an HTML page about CSRF instead of
        # 405.
        return csrf_exempt(super().as_view(**options))

    def get(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Return the page."""
        language = languages.of_page(request)
        response = cast("TemplateResponse", super().get(request, *args, **options))
        with translation.override(language):
            response.render()
        patch_vary_headers(response, ["Accept-Language"])
        response["Content-Language"] = language
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "no-referrer"
        response["Content-Security-Policy"] = self.content_policy
        return response

    def get_context_data(self, **options: Any) -> dict[str, Any]:
        """Return what every page needs."""
        # A function, which the template calls when the language of the page is active.
        return super().get_context_data(
            api_messages=messages.translations, start_page=auth_settings().start_page, **options
        )

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Return 405 as the API does."""
        return method_not_allowed(request.method or "", [name.upper() for name in self.http_method_names])


class StartPage(Page):
    """The page on which a person can try the service."""

    template_name = "api/start.html"
    content_policy = _CONTENT_POLICY.replace("img-src 'self'", "img-src 'self' data:")  # QR codes

    def dispatch(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        """Handle the request.

        Raises Http404 if AUTH_START_PAGE is off.
        """
        if not auth_settings().start_page:
            raise Http404
        return super().dispatch(request, *args, **options)

    def get_context_data(self, **options: Any) -> dict[str, Any]:
        """Return the settings that the page explains."""
        service_settings = auth_settings()
        return super().get_context_data(
            page="start",
            sign_up=service_settings.signup,
            access_minutes=math.ceil(service_settings.access_token_lifetime.total_seconds() / 60),
            username_required=service_settings.username_required,
            grace=int(service_settings.refresh_token_grace.total_seconds()),
            rotation=service_settings.refresh_token_rotation,
            password_min_length=service_settings.password_min_length,
            **options,
        )


@csrf_exempt
@cache_control(public=True, max_age=_ICON_LIFETIME)
def favicon(request: HttpRequest) -> HttpResponse:
    """Return the icon that browsers request for every site, also for responses that name none."""
    if request.method not in {"GET", "HEAD"}:
        return method_not_allowed(request.method or "", ["GET", "HEAD"])
    return HttpResponse(_icon(), content_type="image/x-icon")


@cache
def _icon() -> bytes:
    return (Path(__file__).parents[1] / "static" / "api" / "favicon.ico").read_bytes()
