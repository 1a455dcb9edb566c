"""The hosted pages around an account: create it, and ask for emails with links."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from accounts.conf import auth_settings
from accounts.errors import (
    EmailTaken,
    InvalidCredentials,
    InvalidRequest,
    InvitationInvalid,
    SignUpClosed,
    Throttled,
    UsernameTaken,
)
from accounts.factor_errors import SecondFactorRequired
from accounts.models import User
from accounts.users import email_verification, passwords, registration, sign_in
from accounts.users.sign_in import SignInOptions
from accounts.values.languages import choose
from api.http import field_errors
from api.http.languages import preferred
from api.serializers.inputs import EmailInput
from api.views.hosted import SigningInPage
from api.views.hosted_page import FormPage, require_fields

_NEW_ACCOUNT = ("username", "email", "password")
_REFUSALS = (InvalidRequest, UsernameTaken, EmailTaken, InvitationInvalid, SignUpClosed, Throttled)


class SignUpPage(SigningInPage):
    """Creates an account, and signs in if that needs no verified email address."""

    template_name = "api/hosted/sign_up.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the page, or why sign-up is closed."""
        return self.render(self.template_name, self.form_context())

    def form_context(self) -> dict[str, Any]:
        """Return which fields and hints the form has."""
        options = auth_settings()
        return {"username_required": options.username_required, "password_min_length": options.password_min_length}

    def submit(self, fields: Mapping[str, str]) -> HttpResponse:
        """Create the account."""
        names = [name for name in _NEW_ACCOUNT if name != "username" or auth_settings().username_required]
        try:
            if auth_settings().signup == "open":
                require_fields(fields, *names)
            user = self._register(fields, names)
        except _REFUSALS as error:
            typed = {name: fields.get(name, "") for name in ("username", "email")}
            return self.render_with(error, **typed)
        if not (user.is_email_verified or auth_settings().unverified_signin):
            return self.render("api/hosted/check_email.html", {"email": user.email})
        return self._sign_in_as(user, fields["password"])

    def _register(self, fields: Mapping[str, str], names: list[str]) -> User:
        return registration.register(
            username=fields.get("username", "") if "username" in names else "",
            email=fields.get("email", ""),
            password=fields.get("password", ""),
            fullname="",
            roles=(),
            language=choose(preferred(self.request)),
            client=self.client,
        )

    def _sign_in_as(self, user: User, password: str) -> HttpResponse:
        # As every sign-in, by the password, although it costs a second hash: there is no path past the rules.
        try:
            authenticated = sign_in.with_password(user.username, password, self.client, SignInOptions())
            return self.sign_in(authenticated)
        except (InvalidCredentials, SecondFactorRequired, Throttled):
            return self.page("sign-in-page")  # An administrator changed the account in the meantime.


class MailRequestPage(FormPage):
    """Asks for an email address and queues an email, with the same response whether an account has the address."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the page."""
        return self.render(self.template_name)

    def request_mail(self, email: str) -> None:
        """Queue the email, if an account has the address. Raises Throttled."""
        raise NotImplementedError

    def submit(self, fields: Mapping[str, str]) -> HttpResponse:
        """Queue the email."""
        email = fields.get("email", "")
        try:
            self.request_mail(_validated(email))
        except (InvalidRequest, Throttled) as error:
            return self.render_with(error, email=email)
        return self.render(self.template_name, {"email": email, "is_done": True})


class ForgotPasswordPage(MailRequestPage):
    """Emails a link to choose a new password."""

    template_name = "api/hosted/forgot_password.html"

    def request_mail(self, email: str) -> None:
        """Queue an email with a link to choose a new password."""
        passwords.request_reset(email, self.client)


class ResendVerificationPage(MailRequestPage):
    """Emails another link to verify the address."""

    template_name = "api/hosted/resend_verification.html"

    def request_mail(self, email: str) -> None:
        """Queue an email with a link to verify the address."""
        email_verification.request_link(email, self.client)


def _validated(email: str) -> str:
    """Return the normalized address.

    Raises InvalidRequest.
    """
    body = EmailInput(data={"email": email})
    if not body.is_valid():
        raise InvalidRequest(errors=field_errors.by_field(body.errors))
    return str(body.validated_data["email"])
