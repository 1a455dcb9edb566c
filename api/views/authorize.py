"""The authorization endpoint of OpenID Connect (RFC 6749 section 3.1, OpenID Connect Core section 3.1.2)."""

from dataclasses import replace
from datetime import datetime

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone

from accounts.oauth_errors import AuthorizationError, ClientUnknown, RedirectUriUnknown
from accounts.sso import authorization
from accounts.sso.authorization import AuthorizationRequest, Step
from api.http import continuation
from api.views.hosted_page import HostedPage, redirect

_PAGES = {
    Step.SIGN_IN: "sign-in-page",
    Step.SECOND_FACTOR: "second-factor-page",
    Step.CHOOSE_ACCOUNT: "choose-account",
}
_ANSWERED_BY_SIGN_IN = frozenset({"login", "select_account"})


class Authorize(HostedPage):
    """Sends the browser to the application with a code, or to the page where the user signs in first.

    Only the browser's navigation matters: a request changes nothing but the code that the application gets.
    """

    http_method_names = ["get", "post"]

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer an authorization request."""
        try:
            asked = authorization.parse(dict(request.GET.lists()))
            return self._answer(asked, timezone.now())
        except (ClientUnknown, RedirectUriUnknown) as error:
            return self.error_page(error, is_fault_of_application=True)
        except AuthorizationError as error:
            return self._return_to(authorization.error_url(error), request.GET)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Repeat the request as GET, for which browsers send the cookie also from other sites."""
        return redirect(f"{reverse('authorize')}?{request.POST.urlencode()}")

    def _answer(self, asked: AuthorizationRequest, now: datetime) -> HttpResponse:
        parameters, is_answered = self.request.GET, self._has_signed_in_since_asked(now)
        open_demands = _without_demand_for_sign_in(asked) if is_answered else asked
        step = authorization.required_step(open_demands, self.browser, now)
        if is_answered and step is Step.SIGN_IN:
            # Otherwise the user would be asked again and again.
            raise asked.error("login_required", "Another user than the expected one has signed in.")
        if step is not Step.NONE:
            following = continuation.with_time_of_asking(parameters, now)
            return redirect(continuation.add_to(reverse(_PAGES[step]), following))
        assert self.browser is not None  # noqa: S101  required_step asks for a sign-in otherwise
        code = authorization.issue_code(asked, self.browser)
        return self._return_to(authorization.success_url(asked, code), parameters)

    def _has_signed_in_since_asked(self, now: datetime) -> bool:
        """Return whether the request asked for a sign-in before, and the user has signed in since."""
        asked_at = continuation.time_of_asking(self.request.GET, now)
        if asked_at is None or self.browser is None:
            return False
        return bool(self.browser.session.authenticated_at >= asked_at)

    def _return_to(self, address: str, parameters: QueryDict) -> HttpResponse:
        if "none" in parameters.get("prompt", "").split():
            response = redirect(address)  # never a page
            response.headers["Referrer-Policy"] = "no-referrer"
            return response
        return self.leave_to(address)


def _without_demand_for_sign_in(asked: AuthorizationRequest) -> AuthorizationRequest:
    return replace(asked, prompt=asked.prompt - _ANSWERED_BY_SIGN_IN, max_age=None)
