"""Sign-out of the browser at the hosted pages, also on behalf of an application (RP-Initiated Logout 1.0)."""

from functools import cached_property

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts.sso import signing_out
from accounts.sso.browser_sign_ins import BrowserSignIn
from accounts.sso.signing_out import SignOutRequest
from api import signals
from api.http import browser_cookie, page_forms
from api.views.hosted_page import HostedPage, redirect


class SignOutPage(HostedPage):
    """Signs out at once if an ID token of this sign-in comes with the request, else after a confirmation."""

    @cached_property
    def browser(self) -> BrowserSignIn | None:
        """The browser's sign-in, also if it expired while applications refresh their sessions."""
        return browser_cookie.read_with_expired(self.request)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Sign out, or ask. The session of an ID token ends in either case.

        Raises InvalidRequest, which becomes a page.
        """
        asked = signing_out.parse(dict(request.GET.lists()), self.browser)
        if not asked.is_confirmed:
            # Not the sign-in of this browser, which may be another user's, so that this one is still asked about.
            signals.report_sign_out(request, signing_out.end_hinted(asked, self.client))
        if self.browser is None or asked.is_confirmed:
            return self._sign_out(asked)
        context = {"user": self.browser.session.owner, "parameters": request.GET.urlencode()}
        return self.render("api/hosted/sign_out.html", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Sign out after the confirmation. A form of an application is repeated as GET.

        Raises CsrfFailed or InvalidRequest, which become a page.
        """
        if page_forms.TOKEN_FIELD not in request.POST:
            return redirect(f"{reverse('sign-out-page')}?{request.POST.urlencode()}")
        page_forms.require_own_form(request)
        return self._sign_out(signing_out.parse(dict(request.GET.lists()), self.browser))

    def _sign_out(self, asked: SignOutRequest) -> HttpResponse:
        address = signing_out.sign_out(self.browser, asked, self.client)
        if self.browser is not None:
            signals.report_sign_out(self.request, self.browser.session.owner_id)
        response = self.leave_to(address) if address else self.render("api/hosted/signed_out.html")
        browser_cookie.delete_from(response)
        return response
