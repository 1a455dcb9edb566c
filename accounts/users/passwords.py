"""Change, reset and set passwords. A new password revokes sessions, and the owner is notified by email."""

from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.conf import auth_settings
from accounts.databases import atomic
from accounts.errors import InvalidPassword, InvalidRequest, MailTokenInvalid
from accounts.history import background, mail
from accounts.history.events import Event, record
from accounts.history.mail import MailTemplate
from accounts.models import EndReason, User
from accounts.sessions import lifecycle
from accounts.users import credentials, mail_tokens
from accounts.users.mail_tokens import Purpose
from accounts.values.clients import Client


def change(user_id: int, session_id: UUID, current: str, new: str, client: Client) -> None:
    """Change the password of a signed-in user who knows the current one, and revoke every other session.

    Of two concurrent changes only one succeeds, because the current password of the other is then outdated.

    Raises InvalidPassword if the current password is wrong, InvalidRequest if the new one is weak, or Throttled.
    """
    user = credentials.confirm(user_id, current, client)
    _reject_weak(new, user)
    unchanged = User.objects.filter(pk=user_id, security_stamp=user.security_stamp)
    user.set_password(new)
    with atomic(User):
        # First the user and then the sessions: a concurrent change that did the reverse would be a deadlock.
        if unchanged.select_for_update(no_key=True).values_list("pk").first() is None:
            raise InvalidPassword
        # Before the password changes, which would report this session as ended to its application.
        lifecycle.survive_password_change(session_id, user.security_stamp)
        _save(unchanged, user)
        lifecycle.end_others(user_id, session_id, EndReason.PASSWORD_CHANGED, client)
        record(Event.PASSWORD_CHANGED, client=client, user_id=user_id)


def request_reset(email: str, client: Client) -> None:
    """Queue an email with a reset link to the active user who has the address, if there is one.

    The call does not reveal whether there is: the work before the response is the same, and the rest is queued.

    Raises Throttled.
    """
    user_id = mail_tokens.find_recipient(email, client)
    if user_id is not None:
        background.MAIL.after_commit(_mail_reset_link, user_id, MailTemplate.RESET_PASSWORD, client)


def reset(token: str, new: str, client: Client) -> None:
    """Set a new password with a token sent by email, and revoke every session.

    Raises MailTokenInvalid, InvalidRequest if the password is weak (the token then stays valid), or Throttled.
    """
    user = mail_tokens.find_user(Purpose.RESET_PASSWORD, token, client)
    _reject_weak(new, user)
    # Of concurrent uses of one token only one succeeds, because it changes the stamp that the token depends on.
    unchanged = User.objects.filter(pk=user.pk, security_stamp=user.security_stamp, email_key=user.email_key)
    user.set_password(new)
    with atomic(User):
        if not _save(unchanged, user):
            raise MailTokenInvalid
        # The token proves that its holder reads the mailbox of this address.
        User.objects.get_queryset().filter(pk=user.pk).verify_email(at=timezone.now())
        lifecycle.end_all(user.pk, EndReason.PASSWORD_CHANGED, client)
        record(Event.PASSWORD_CHANGED, client=client, user_id=user.pk)


def force_reset(user: User, client: Client, *, by: int | None) -> None:
    """Remove the password, revoke every session, and email the owner a link to choose a new password.

    `by` is the id of the administrator.
    """
    if _replace_password(user, None, Event.PASSWORD_RESET_FORCED, client, by):
        background.MAIL.after_commit(_mail_reset_link, user.pk, MailTemplate.RESET_FORCED, None)


def set_password(user: User, new: str | None, client: Client, *, by: int | None = None) -> None:
    """Set a password without verifying the current one, and revoke every session of the user.

    With None as the new password, the user has no usable password. `by` is the id of the administrator, if any.
    """
    _replace_password(user, new, Event.PASSWORD_CHANGED, client, by)


def _replace_password(user: User, new: str | None, event: Event, client: Client, by: int | None) -> bool:
    """Set a password and revoke every session. Return False if the user no longer exists."""
    user.set_password(new)
    with atomic(User):
        if not _save(User.objects.filter(pk=user.pk), user):
            return False
        lifecycle.end_all(user.pk, EndReason.PASSWORD_CHANGED, client, by=by)
        record(event, client=client, user_id=user.pk, by=by)
    return True


def _save(matching: QuerySet[User], user: User) -> bool:
    """Store the new hash and stamp if the user still matches the queryset, and return whether it did."""
    return bool(
        matching.update(
            password=user.password, security_stamp=user.security_stamp, token_version=F("token_version") + 1
        )
    )


def _reject_weak(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidRequest(errors={"new_password": error.messages}) from None


def _mail_reset_link(user_id: int, template: MailTemplate, client: Client | None) -> None:
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        mail.render_without_sending(template, auth_settings().reset_url)
        return
    if client is not None:
        record(Event.PASSWORD_RESET_ASKED, client=client, user_id=user.pk)
    token = mail_tokens.issue(Purpose.RESET_PASSWORD, user)
    mail.send_link(template, user.email, auth_settings().reset_url, token, language=user.language)
