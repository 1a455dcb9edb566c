"""The hosted pages on which a person signs in for the company's applications. They work without scripts."""

from collections.abc import Mapping
from typing import cast
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse

from accounts.errors import AuthError, EmailUnverified, InvalidCredentials, InvalidRequest, Throttled
from accounts.factor_errors import AuthSessionInvalid, InvalidCode, PendingFactor, SecondFactorRequired
from accounts.factors import verification
from accounts.factors.verification import PresentedFactor
from accounts.models import User
from accounts.sso import browser_sign_ins
from accounts.users import sign_in
from accounts.users.sign_in import Authenticated, SignInOptions
from accounts.values.authentication import PASSWORD_METHOD
from api import signals
from api.http import browser_cookie, continuation, page_forms
from api.views.hosted_page import FormPage, HostedPage, redirect, require_fields


class SigningInPage(FormPage):
    """A page at the end of which the browser is signed in."""

    def sign_in(self, authenticated: Authenticated) -> HttpResponse:
        """Store the sign-in of a user in this browser, with a new cookie, and go on to the application.

        Raises InvalidCredentials if the user was deleted, or the second factor removed, in the meantime.
        """
        previous = self.browser or browser_cookie.read_with_expired(self.request)
        browser, cookie = browser_sign_ins.start(authenticated, self.client, previous=previous)
        signals.report_browser_sign_in(self.request, browser.session)
        response = redirect(self.following) if self.following else self.page("choose-account")
        browser_cookie.set_on(response, browser, cookie)
        page_forms.replace_token(self.request)
        return response

    def ask_for_factor(self, pending: PendingFactor, error: AuthError | None = None) -> HttpResponse:
        """Return the page that asks for the second factor."""
        page = SecondFactorPage()
        page.setup(self.request)
        page.following = self.following
        return page.ask(pending, error)


class SignInPage(SigningInPage):
    """Asks for the password, or for a passkey."""

    template_name = "api/hosted/sign_in.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the page. A browser that is signed in, and that no application sends, need not sign in."""
        if not self.following and self.browser and not self._is_another_account:
            return self.page("choose-account")
        return self.render(self.template_name, {"username": self._expected_username(), "remember": True})

    def submit(self, fields: Mapping[str, str]) -> HttpResponse:
        """Sign in with the password or the passkey."""
        username, remember = fields.get("username", ""), "remember" in fields
        try:
            with signals.reporting_failure(self.request, username):
                return self.sign_in(self._authenticate(fields, SignInOptions(remember=remember)))
        except SecondFactorRequired as error:
            return self.ask_for_factor(cast("PendingFactor", error.sign_in))  # set at a sign-in
        except (InvalidRequest, InvalidCredentials, EmailUnverified, Throttled) as error:
            return self.render_with(error, username=username, remember=remember)

    def _authenticate(self, fields: Mapping[str, str], options: SignInOptions) -> Authenticated:
        if fields.get("passkey"):
            return sign_in.with_passkey(verification.parse_passkey(fields["passkey"]), self.client, options)
        require_fields(fields, "username", "password")
        return sign_in.with_password(fields["username"], fields["password"], self.client, options)

    def _expected_username(self) -> str:
        """Return what the application says, or who is signed in and has to confirm it."""
        hint = self.authorization_request.login_hint if self.authorization_request else ""
        if hint or not self.browser or self._is_another_account:
            return hint
        return str(self.browser.session.owner.username)

    @property
    def _is_another_account(self) -> bool:
        return "another" in self.request.GET


class SecondFactorPage(SigningInPage):
    """Asks for a code, a recovery code or, with a script, a passkey."""

    template_name = "api/hosted/second_factor.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask a user who signed in with the password alone, if an application requires a second factor.

        All others begin with the password.
        """
        if not self.following or not self.browser:
            return self.page("sign-in-page")
        session = self.browser.session
        owner: User = session.owner
        if PASSWORD_METHOD not in session.authentication.methods or not owner.has_second_factor:
            return self.page("sign-in-page")
        return self.ask(sign_in.ask_second_factor(owner, SignInOptions(remember=session.remember)))

    def ask(self, pending: PendingFactor, error: AuthError | None = None) -> HttpResponse:
        """Return the page, with the error of a factor that was wrong, if any."""
        context = {"pending": pending, "passkey": pending.passkey and dict(pending.passkey)}
        if error:
            return self.render_with(error, **context)
        return self.render(self.template_name, context)

    def submit(self, fields: Mapping[str, str]) -> HttpResponse:
        """Complete the sign-in. What is wrong is shown on this page, or on the one that asks for the password."""
        auth_session = fields.get("auth_session", "")
        presented = PresentedFactor.from_form(fields.get("code", ""), fields.get("passkey", ""))
        try:
            pending = sign_in.find_pending(auth_session)
            try:
                with signals.reporting_failure(self.request, pending.owner.username):
                    return self.sign_in(sign_in.with_second_factor(pending, presented, self.client))
            except (InvalidCode, Throttled) as error:
                return self.ask(sign_in.renewed(pending, auth_session), error)
        except (AuthSessionInvalid, InvalidCredentials) as error:
            return self._begin_again(error)

    def _begin_again(self, error: AuthError) -> HttpResponse:
        page = SignInPage()
        page.setup(self.request)
        page.following = self.following
        return page.render_with(error, remember=True)


class ChooseAccountPage(HostedPage):
    """Says who is signed in: go on, or use another account."""

    http_method_names = ["get", "head"]

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the page."""
        if not self.browser:
            return self.page("sign-in-page")
        context = {
            "user": self.browser.session.owner,
            "going_on": continuation.after_choice(self.following) if self.following else "",
            "another": urlencode({"next": self.following, "another": ""} if self.following else {"another": ""}),
        }
        return self.render("api/hosted/choose_account.html", context)
