"""The pages of this service for people. They call the API as any front end does; a team may serve its own."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import TemplateView

from accounts.conf import auth_settings
from api.errors import method_not_allowed

_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class _Page(TemplateView):
    """A page without a referrer, in no cache: its address may hold a token, if only in the fragment."""

    http_method_names = ["get", "head"]

    @classmethod
    def as_view(cls, **options: Any) -> Any:
        # There is nothing here to forge, and who sends a POST is to hear that there is none: not of CSRF, in HTML.
        return csrf_exempt(super().as_view(**options))

    def get(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        response = super().get(request, *args, **options)
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "no-referrer"
        response["Content-Security-Policy"] = _CONTENT_POLICY
        return response

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Refuse a method as the API does."""
        return method_not_allowed(request.method or "", [name.upper() for name in self.http_method_names])


class StartPage(_Page):
    """On which a person tries all of it."""

    template_name = "api/start.html"

    def dispatch(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        """Answer as at any path that leads nowhere, where the page is switched off.

        Raises Http404.
        """
        if not auth_settings().start_page:
            raise Http404
        return super().dispatch(request, *args, **options)

    def get_context_data(self, **options: Any) -> dict[str, Any]:
        """Tell the page what it explains."""
        service_settings = auth_settings()
        return super().get_context_data(
            grace=int(service_settings.refresh_token_grace.total_seconds()),
            rotation=service_settings.refresh_token_rotation,
            **options,
        )


class ResetPasswordPage(_Page):
    """Takes a new password."""

    template_name = "api/reset_password.html"


class VerifyEmailPage(_Page):
    """Verifies an address, once its reader presses the button: scanners of mail follow links, too."""

    template_name = "api/verify_email.html"
