"""The pages that emailed links lead to. With a script, they use the API like any front end; else, a form.

The token of a link is in the fragment, which browsers do not send. Without a script, the user pastes the link.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse

from accounts.conf import auth_settings
from accounts.errors import (
    EmailTaken,
    InvalidRequest,
    InvitationInvalid,
    SignUpClosed,
    Throttled,
    UsernameTaken,
)
from accounts.users import email_verification, passwords, registration
from accounts.values.languages import choose
from api import messages
from api.http.languages import preferred
from api.views.hosted_page import FormPage

_REFUSALS = (InvalidRequest, UsernameTaken, EmailTaken, InvitationInvalid, SignUpClosed, Throttled)


class MailLinkPage(FormPage):
    """A page whose form is completed with the token of an emailed link."""

    template_name: ClassVar[str]

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the page."""
        return self.render(self.template_name, self.form_context())

    def form_context(self) -> dict[str, Any]:
        """Return what the page and its script need."""
        # A function, which the template calls when the language of the page is active.
        return {"api_messages": messages.translations}

    def submit(self, fields: Mapping[str, str]) -> HttpResponse:
        """Complete what the link was sent for."""
        try:
            self.complete(token_in(fields.get("link", "")), fields)
        except _REFUSALS as error:
            return self.render_with(error, link=fields.get("link", ""), username=fields.get("username", ""))
        return self.render(self.template_name, {**self.form_context(), "is_done": True})

    def complete(self, token: str, fields: Mapping[str, str]) -> None:
        """Use the token, with the fields of the form. Raises one of the errors of an API request."""
        raise NotImplementedError


class ResetPasswordPage(MailLinkPage):
    """Completes a password reset."""

    template_name = "api/reset_password.html"

    def complete(self, token: str, fields: Mapping[str, str]) -> None:
        """Set the new password and end every session."""
        passwords.reset(token, fields.get("newPassword", ""), self.client)


class InvitationPage(MailLinkPage):
    """Signs up an invited person."""

    template_name = "api/invitation.html"

    def form_context(self) -> dict[str, Any]:
        """Return whether the page asks for a username."""
        return {**super().form_context(), "username_required": auth_settings().username_required}

    def complete(self, token: str, fields: Mapping[str, str]) -> None:
        """Create the account.

        Raises InvitationInvalid without a token, also where sign-up is open.
        """
        if not token:
            raise InvitationInvalid
        registration.register(
            username=fields.get("username", ""),
            email="",
            password=fields.get("password", ""),
            fullname="",
            roles=(),
            invitation=token,
            language=choose(preferred(self.request)),
            client=self.client,
        )


class VerifyEmailPage(MailLinkPage):
    """Verifies an email address after a click on a button, because mail scanners follow links."""

    template_name = "api/verify_email.html"

    def complete(self, token: str, fields: Mapping[str, str]) -> None:
        """Mark the address as verified."""
        email_verification.verify(token, self.client)


def token_in(link: str) -> str:
    """Return the token of a pasted link, or the text itself, which may be the token alone."""
    return link.strip().rpartition("#token=")[2]
