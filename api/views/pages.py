"""HTML pages: the start page, and the pages that emailed links lead to. They use the API like any front end."""

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
    """A page that is not cached and sends no referrer, because its URL may contain a token in the fragment."""

    http_method_names = ["get", "head"]

    @classmethod
    def as_view(cls, **options: Any) -> Any:
        # Pages accept no POST. Without the exemption, Django would respond with an HTML page about CSRF instead of
        # 405.
        return csrf_exempt(super().as_view(**options))

    def get(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        response = super().get(request, *args, **options)
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "no-referrer"
        response["Content-Security-Policy"] = _CONTENT_POLICY
        return response

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Return 405 as the API does."""
        return method_not_allowed(request.method or "", [name.upper() for name in self.http_method_names])


class StartPage(_Page):
    """The page on which a person can try the service."""

    template_name = "api/start.html"

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
            sign_up_is_open=service_settings.signup == "open",
            username_required=service_settings.username_required,
            grace=int(service_settings.refresh_token_grace.total_seconds()),
            rotation=service_settings.refresh_token_rotation,
            password_min_length=service_settings.password_min_length,
            **options,
        )


class ResetPasswordPage(_Page):
    """The page that completes a password reset."""

    template_name = "api/reset_password.html"


class InvitationPage(_Page):
    """The page on which an invited person signs up."""

    template_name = "api/invitation.html"

    def get_context_data(self, **options: Any) -> dict[str, Any]:
        """Return whether the page asks for a username."""
        return super().get_context_data(username_required=auth_settings().username_required, **options)


class VerifyEmailPage(_Page):
    """The page that verifies an email address after a click on a button, because mail scanners follow links."""

    template_name = "api/verify_email.html"
