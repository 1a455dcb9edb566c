"""The pages that mailed links lead to. They call the API as any front end does; a team may serve its own."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.generic import TemplateView

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class _Page(TemplateView):
    """A page without a referrer, in no cache: its address holds a token, if only in the fragment."""

    def get(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        response = super().get(request, *args, **options)
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "no-referrer"
        response["Content-Security-Policy"] = _POLICY
        return response


class ResetPasswordPage(_Page):
    """Takes a new password."""

    template_name = "api/reset_password.html"


class VerifyEmailPage(_Page):
    """Verifies an address, once its reader presses the button: scanners of mail follow links, too."""

    template_name = "api/verify_email.html"
