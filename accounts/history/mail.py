"""Email to users: which message is sent, and how it is delivered without delaying or failing the request.

Each text is a template, `accounts/mail/<template>.txt`: the subject, a blank line, the body. The plain and HTML
parts are both rendered from it, by `frame.txt` and `frame.html`. A project overrides a text with a template of the
same name, and translates it with a message catalog of its own.

A text contains nothing that the person who signs up can choose (username, full name): anyone can sign up with
anyone's address, and could otherwise make this service deliver a message of theirs. For the same reason only
well-known devices are named, and an address that nobody has verified gets few emails, whichever account they are
about.
"""

import logging
import math
from collections.abc import Mapping
from email.message import Message, MIMEPart
from enum import StrEnum
from smtplib import SMTPRecipientsRefused, SMTPResponseException
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy
from tenacity import RetryCallState, retry, retry_if_exception

from accounts.conf import auth_settings
from accounts.history import background, mail_text
from accounts.limits import attempts
from accounts.models import Activity, User
from accounts.values import devices
from accounts.values.identifiers import DECOY_DOMAIN

logger = logging.getLogger("accounts.mail")

_PERMANENT_ERROR = 500

_MAX_LINE_BYTES = 998
"""The maximum length of a line in an email, without its end (RFC 5322 section 2.1.1)."""


class MailTemplate(StrEnum):
    """The email templates, by name."""

    VERIFY_EMAIL = "verify_email"
    INVITATION = "invitation"
    ALREADY_REGISTERED = "already_registered"
    RESET_PASSWORD = "reset_password"  # noqa: S105  a template, not a secret
    RESET_FORCED = "reset_forced"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    EMAIL_CHANGED = "email_changed"
    ROLES_CHANGED = "roles_changed"
    NEW_DEVICE = "new_device"
    TOKEN_REUSED = "token_reused"  # noqa: S105
    FACTOR_ADDED = "factor_added"
    FACTOR_REMOVED = "factor_removed"
    FACTORS_RESET = "factors_reset"
    PASSKEY_COPIED = "passkey_copied"
    RECOVERY_CODE_USED = "recovery_code_used"
    RECOVERY_CODES_RENEWED = "recovery_codes_renewed"


_ACTIONS: Mapping[MailTemplate, Promise] = {
    MailTemplate.VERIFY_EMAIL: gettext_lazy("Verify the address"),
    MailTemplate.INVITATION: gettext_lazy("Create your account"),
    MailTemplate.RESET_PASSWORD: gettext_lazy("Choose a new password"),
    MailTemplate.RESET_FORCED: gettext_lazy("Choose a new password"),
}
"""The emails with a link, and the text of its button."""


class _UnfoldedEmail(EmailMultiAlternatives):
    """An email whose lines are not folded where Python's email package prefers to, after 78 characters.

    Django 6.0 would otherwise encode a text with a longer line as quoted-printable. Email programs decode it, but
    the links that the console backend prints would not work: `#token=3D…`, broken across lines.
    """

    def message(self, **options: Any) -> Any:
        """Return the message of the standard library. Django 6.0 passes `policy`."""
        message: Message = super().message(**options)
        for part in message.walk():
            # Django 5.2 returns classes that are not MIMEPart, and does not fold lines.
            if isinstance(part, MIMEPart) and part.get_content_maintype() == "text":
                _unfold(part)
        return message


def _unfold(part: MIMEPart) -> None:
    text = part.get_content()
    if all(len(line.encode()) <= _MAX_LINE_BYTES for line in text.splitlines()):
        encoding = "7bit" if text.isascii() else "8bit"
        part.set_content(text, subtype=part.get_content_subtype(), cte=encoding)


def notify_owner(template: MailTemplate, entry: Activity) -> None:
    """Email an account's owner about a history entry, in the background."""
    background.MAIL.after_commit(_notify, template, entry)


def notify_former_address(template: MailTemplate, user: User, entry: Activity) -> None:
    """Email the previous address of an account about a history entry, in the background."""
    background.MAIL.after_commit(_notify_address, template, user, entry)


def send_link(
    template: MailTemplate, to: str, page: str, token: str, *, language: str = "", **context: Any
) -> None:
    """Email a link to a page that takes a token, and wait until it is sent.

    `page` is a URL or a path below PUBLIC_URL. No part of the link comes from a request's Host header. The token
    is in the fragment, which browsers do not send to servers, so it appears in no log and no Referer.

    Raises OSError.
    """
    send(template, to, language=language, **_link(page, token), **context)


def render_without_sending(template: MailTemplate, page: str) -> None:
    """Render an email without sending it, so that response times do not reveal whether an account exists."""
    _render(template, "nobody@example.invalid", "", **_link(page, "x" * 150)).message().as_bytes()


def send(template: MailTemplate, to: str, *, language: str = "", **context: Any) -> None:
    """Send an email and wait until the mail server accepts it; retry temporary failures.

    `language` is the code of its language, or empty for LANGUAGE_CODE.

    Raises OSError (including smtplib's errors) if the server does not accept it.
    """
    _deliver(_render(template, to, language, **context))


def _base_url() -> str:
    return auth_settings().public_url or f"http://localhost:{getattr(settings, 'PORT', 8000)}"


def _link(page: str, token: str) -> dict[str, Any]:
    url = f"{_base_url().rstrip('/')}{page}" if page.startswith("/") else page
    minutes = math.ceil(auth_settings().mail_token_lifetime.total_seconds() / 60)
    return {"link": f"{url}#token={token}", "minutes": minutes}


def _render(template: MailTemplate, to: str, language: str, **context: Any) -> EmailMultiAlternatives:
    # Explicitly, because a thread of the queue has no language, and a request may have that of an administrator.
    with translation.override(language or settings.LANGUAGE_CODE):
        return _render_in_current_language(template, to, context)


def _render_in_current_language(
    template: MailTemplate, to: str, context: dict[str, Any]
) -> EmailMultiAlternatives:
    text = render_to_string(f"accounts/mail/{template.value}.txt", context)
    subject, _, body = text.strip().partition("\n")
    frame_context = {**_frame_context(template, subject, body.strip(), context.get("link", "")), **context}
    message = _UnfoldedEmail(
        subject,
        mail_text.wrap(render_to_string("accounts/mail/frame.txt", frame_context)) + "\n",
        to=[to],
        # RFC 3834: Auto-Submitted suppresses automatic replies.
        headers={"Auto-Submitted": "auto-generated", "Content-Language": translation.get_language()},
    )
    message.attach_alternative(render_to_string("accounts/mail/frame.html", frame_context), "text/html")
    return message


def _frame_context(template: MailTemplate, subject: str, text: str, link: str) -> dict[str, Any]:
    paragraphs = mail_text.paragraphs(text, link)
    return {
        "subject": subject,
        "text": text,
        "paragraphs": paragraphs,
        "preheader": " ".join(paragraphs[0].lines) if paragraphs else "",
        "action": _ACTIONS.get(template, subject),
        "sender": urlsplit(_base_url()).netloc,
    }


def _is_transient(error: BaseException) -> bool:
    """Return whether a retry may succeed: not after a permanent SMTP error (RFC 5321 section 4.2.1)."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(code < _PERMANENT_ERROR for code, _ in error.recipients.values())
    if isinstance(error, SMTPResponseException):
        return error.smtp_code < _PERMANENT_ERROR
    return isinstance(error, OSError)


def _log_retry(state: RetryCallState) -> None:
    # Without the error's message, which contains addresses.
    error = state.outcome.exception() if state.outcome else None
    logger.warning("Sending an email failed; retrying.", extra={"error": type(error).__name__})


@retry(
    retry=retry_if_exception(_is_transient),
    stop=background.STOP_RETRYING,
    wait=background.PAUSE,
    before_sleep=_log_retry,
    reraise=True,
)
def _deliver(message: EmailMultiAlternatives) -> None:
    if not all(address.endswith(f"@{DECOY_DOMAIN}") for address in message.to):
        message.send()


def _origin_context(entry: Activity) -> dict[str, Any]:
    """Return the template variables for when and where something happened.

    An administrator's address and device are left out. So is the device of a command: "unknown device" would alarm
    the owner.
    """
    if entry.is_by_administrator:
        return {"at": entry.at, "by_administrator": True}
    if not entry.address and not entry.user_agent:
        return {"at": entry.at}
    return {"at": entry.at, "address": entry.address, "device": devices.describe_common(entry.user_agent)}


def _notify(template: MailTemplate, entry: Activity) -> None:
    user = User.objects.filter(pk=entry.user_id).first()
    if user is not None:
        _notify_address(template, user, entry)


def _notify_address(template: MailTemplate, user: User, entry: Activity) -> None:
    if user.is_email_verified or attempts.allow_mail_to_unverified(user.email_key):
        send(template, user.email, language=user.language, **_origin_context(entry), **entry.details)
