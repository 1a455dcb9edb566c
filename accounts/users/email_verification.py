"""Verify email addresses with a link that only a reader of the mailbox receives."""

from django.utils import timezone

from accounts.conf import auth_settings
from accounts.errors import MailTokenInvalid
from accounts.history import background, mail
from accounts.history.events import Event, record
from accounts.history.mail import MailTemplate
from accounts.models import User
from accounts.users import mail_tokens
from accounts.users.mail_tokens import Purpose
from accounts.values.clients import Client


def send_link(user: User) -> None:
    """Queue an email with a link that verifies the address of the user."""
    background.MAIL.after_commit(_mail_link, user.pk)


def verify(token: str, client: Client) -> None:
    """Mark the email address that a token was sent to as verified. Repeating the call changes nothing.

    Raises MailTokenInvalid if the token is invalid or expired or the address has changed, or Throttled.
    """
    user = mail_tokens.find_user(Purpose.VERIFY_EMAIL, token, client)
    unchanged = User.objects.get_queryset().filter(pk=user.pk, email_key=user.email_key)
    if unchanged.verify_email(at=timezone.now()):
        record(Event.EMAIL_VERIFIED, client=client, user_id=user.pk)
    elif not unchanged.exists():
        raise MailTokenInvalid


def request_link(email: str, client: Client) -> None:
    """Queue another verification link if an account has the address and it is not verified yet.

    The call does not reveal whether such an account exists.

    Raises Throttled.
    """
    user_id = mail_tokens.find_recipient(email, client)
    if user_id is not None:
        background.MAIL.after_commit(_mail_link, user_id)


def mark_verified(user: User, client: Client, *, by: int | None) -> None:
    """Mark the address of a user as verified without a link. `by` is the id of the administrator."""
    if User.objects.get_queryset().filter(pk=user.pk).verify_email(at=timezone.now()):
        record(Event.EMAIL_VERIFIED, client=client, user_id=user.pk, by=by)


def _mail_link(user_id: int) -> None:
    user = User.objects.filter(pk=user_id, is_active=True, email_verified_at=None).first()
    if user is None:
        mail.render_without_sending(MailTemplate.VERIFY_EMAIL, auth_settings().verify_url)
    else:
        token = mail_tokens.issue(Purpose.VERIFY_EMAIL, user)
        page = auth_settings().verify_url
        mail.send_link(MailTemplate.VERIFY_EMAIL, user.email, page, token, language=user.language)
