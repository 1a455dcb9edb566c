"""Base classes of the hosted pages: language, headers, errors, and the check of forms."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.db import Error as DatabaseFault
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template import loader
from django.template.context_processors import csrf
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.encoding import iri_to_uri
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View
from rest_framework.exceptions import APIException, MethodNotAllowed

from accounts.conf import auth_settings
from accounts.errors import AuthError, InvalidRequest, Kind, Throttled
from accounts.oauth_errors import AuthorizationError
from accounts.sso import authorization
from accounts.sso.authorization import AuthorizationRequest
from accounts.sso.browser_sign_ins import BrowserSignIn
from accounts.values.clients import Client
from api import messages
from api.errors import STATUSES, render_error
from api.http import browser_cookie, continuation, languages, page_forms

_FAULTS = (AuthError, APIException, SuspiciousOperation, DatabaseFault, ImproperlyConfigured)
"""The exceptions that become a page. All others are bugs, and become 500."""

_HEADERS = {
    "Cache-Control": "no-store",
    # 'self' in form-action, because Chromium applies it to the whole chain of redirects that follows a form: see
    # `leave_to`.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    # Not `no-referrer`, with which browsers send forms with `Origin: null`. No other site gets a referrer.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class HostedPage(View):
    """A page in the language that the application or the browser prefers. It is neither cached nor framed."""

    http_method_names = ["get", "head", "post"]
    template_name: ClassVar[str] = ""
    following = ""
    """The authorization request to which the browser returns: the `next` of the URL."""

    @classmethod
    def as_view(cls, **options: Any) -> Any:
        """Return the view."""
        # Forms are checked by `FormPage`, with or without Django's middleware.
        return csrf_exempt(super().as_view(**options))

    def dispatch(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Handle the request."""
        page_forms.read_token_cookie(request)
        language = languages.of_page(request, self._asked_for_languages(request))
        with translation.override(language):
            response = self._respond(request)
        page_forms.set_token_cookie(request, response)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["Content-Language"] = language
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response

    def render(
        self, template_name: str, context: Mapping[str, Any] | None = None, *, status: int = 200
    ) -> HttpResponse:
        """Return a page. Context processors of the project are not called."""
        body = loader.get_template(template_name).render({**self.common_context(), **(context or {})})
        return HttpResponse(body, status=status)

    def render_with(self, error: AuthError, **context: Any) -> HttpResponse:
        """Return this page with an error at its fields, or above its form."""
        errors = messages.field_texts(error)
        shown = {"errors": errors, "error": "" if errors else messages.text_of(error), "code": error.code}
        page = {**self.form_context(), **shown, **context}
        response = self.render(self.template_name, page, status=_status_of(error))
        if isinstance(error, Throttled):
            response.headers["Retry-After"] = str(error.retry_after)
        return response

    def form_context(self) -> dict[str, Any]:
        """Return what the template of this page needs besides what every page has."""
        return {}

    def common_context(self) -> dict[str, Any]:
        """Return what every page needs."""
        return {
            **csrf(self.request),
            "query": continuation.add_to("", self.following),
            "application": self._application_name,
            "signup": auth_settings().signup,
        }

    @cached_property
    def following_parameters(self) -> QueryDict:
        """The parameters of the authorization request to which the browser returns."""
        return continuation.query_of(self.following)

    @cached_property
    def authorization_request(self) -> AuthorizationRequest | None:
        """The authorization request to which the browser returns, or None if there is none or it is not valid."""
        if not self.following:
            return None
        try:
            return authorization.parse(dict(self.following_parameters.lists()))
        except (AuthError, AuthorizationError):
            return None  # The authorization endpoint reports it.

    @cached_property
    def browser(self) -> BrowserSignIn | None:
        """The browser's valid sign-in, or None."""
        return browser_cookie.read(self.request)

    @property
    def client(self) -> Client:
        """The client that sent the request."""
        return Client.from_environ(self.request.META)

    def page(self, name: str) -> HttpResponse:
        """Redirect to another hosted page, which leads on to the same place."""
        return redirect(continuation.add_to(reverse(name), self.following))

    def leave_to(self, address: str) -> HttpResponse:
        """Send the browser to an application.

        Chromium applies form-action of our page to all redirects after a form, also to the application's own ones,
        which are not known here. After a form, a page therefore leads on, with which a new navigation begins.
        """
        if not page_forms.comes_from_own_page(self.request):
            response = redirect(address)
        else:
            response = self.render("api/hosted/leave.html", {"address": address})
            response.headers["Refresh"] = f"0; url={iri_to_uri(address)}"
        response.headers["Referrer-Policy"] = "no-referrer"  # the address has a code
        return response

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Return 405 as a page."""
        response = self.error_page(MethodNotAllowed(request.method or ""))
        response.headers["Allow"] = ", ".join(name.upper() for name in self.http_method_names)
        return response

    @property
    def _application_name(self) -> str:
        return self.authorization_request.application.name if self.authorization_request else ""

    def _asked_for_languages(self, request: HttpRequest) -> list[str]:
        try:
            self.following = continuation.read(request)
            return continuation.ui_locales(request.GET, self.following_parameters)
        except SuspiciousOperation:
            return []  # too many parameters, which `get` and `post` report

    def _respond(self, request: HttpRequest) -> HttpResponse:
        try:
            response: HttpResponse = super().dispatch(request)  # type: ignore[assignment]  # not asynchronous
        except _FAULTS as error:
            return self.error_page(error)
        return response

    def error_page(self, error: Exception, **context: Any) -> HttpResponse:
        """Return the page for an error that this page does not show itself. An unexpected one is raised."""
        refusal = render_error(error, {"request": self.request})
        if refusal is None:
            raise error
        shown = {
            "message": messages.translate(refusal.data["message"]),
            "code": refusal.data["code"],
            # The authorization endpoint knows whether the user still has to sign in.
            "path": self.following or self.request.get_full_path(),
            **context,
        }
        response = self.render("api/hosted/error.html", shown, status=refusal.status_code)
        if "Retry-After" in refusal.headers:
            response.headers["Retry-After"] = refusal.headers["Retry-After"]
        return response


class FormPage(HostedPage):
    """A hosted page with a form."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Handle the form, if it comes from this service.

        Raises CsrfFailed or UnsupportedMediaType.
        """
        page_forms.require_own_form(request)
        return self.submit(request.POST.dict())

    def submit(self, fields: Mapping[str, str]) -> HttpResponse:
        """Handle the fields of the form."""
        raise NotImplementedError


def redirect(address: str) -> HttpResponse:
    """Redirect with 303: the browser does not repeat the form (RFC 9700 section 4.12)."""
    # Not HttpResponseRedirect, which refuses the schemes of native applications (RFC 8252 section 7.1).
    return HttpResponse(status=303, headers={"Location": iri_to_uri(address)})


def require_fields(fields: Mapping[str, str], *names: str) -> None:
    """Check that a form has a value for each of the named fields.

    Raises InvalidRequest.
    """
    missing = [name for name in names if not fields.get(name)]
    if missing:
        required = translation.gettext("This field is required.")
        raise InvalidRequest(errors={name: [required] for name in missing})


def _status_of(error: AuthError) -> int:
    # 401 would need a challenge (RFC 9110 section 11.6.1), to which browsers respond with a dialog of their own.
    return 403 if error.kind is Kind.UNAUTHENTICATED else STATUSES[error.kind]
