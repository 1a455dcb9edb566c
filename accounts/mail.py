"""Mail to users: what is written, and how it goes out without holding up or failing the request.

The texts are templates, `accounts/mail/<letter>.txt`: the subject, a blank line, the text. Both halves of a mail,
plain and HTML, are made from one text and its frame. A team changes them by templates of the same names, and
translates them by catalogs of its own or of this project.

A mail says nothing that whoever signs up can choose (a username, a full name): anyone can sign up with anyone's
address, and would have this service carry the message.
"""

import logging
import math
from enum import StrEnum
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from tenacity import before_sleep_log, retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from accounts import background, devices
from accounts.conf import auth_settings
from accounts.models import Activity, User

logger = logging.getLogger("accounts.mail")

_TRIES = 4
_FIRST_PAUSE, _LONGEST_PAUSE = 2, 30  # seconds


class Letter(StrEnum):
    """What is mailed: the name of a template."""

    VERIFY_EMAIL = "verify_email"
    ALREADY_REGISTERED = "already_registered"
    RESET_PASSWORD = "reset_password"  # noqa: S105  a template, not a secret
    RESET_FORCED = "reset_forced"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    EMAIL_CHANGED = "email_changed"
    ROLES_CHANGED = "roles_changed"
    NEW_DEVICE = "new_device"
    TOKEN_REUSED = "token_reused"  # noqa: S105


def tell_owner(letter: Letter, entry: Activity) -> None:
    """Mail an account's owner, later, what happened to it."""
    background.MAIL.after_commit(_tell, letter, entry)


def send_later(letter: Letter, to: str, **context: Any) -> None:
    """Mail an address, later. `context` holds no secret: it waits in memory."""
    background.MAIL.after_commit(partial(send, letter, to, **context))


def send_link(letter: Letter, to: str, page: str, token: str) -> None:
    """Mail an address, now, a link to a page that takes a token.

    The link begins with PUBLIC_URL, never with what a request claims as its Host. The token is in the fragment,
    which browsers send to no server, so that it is in no log and no Referer.

    Raises OSError.
    """
    own = auth_settings()
    base = own.public_url or f"http://localhost:{settings.PORT}"
    minutes = math.ceil(own.mail_token_lifetime.total_seconds() / 60)
    send(letter, to, link=f"{base.rstrip('/')}/{page}#token={token}", minutes=minutes)


def send(letter: Letter, to: str, **context: Any) -> None:
    """Mail an address, now; try again where the mail server does not take it.

    Raises OSError (of which smtplib's errors are) where it did not take it after all.
    """
    text = render_to_string(f"accounts/mail/{letter.value}.txt", context)
    subject, _, body = text.strip().partition("\n")
    framed = {"subject": subject, "text": body.strip(), **context}
    message = EmailMultiAlternatives(
        subject,
        render_to_string("accounts/mail/frame.txt", framed).strip() + "\n",
        to=[to],
        # RFC 3834: no holiday notices in answer to these.
        headers={"Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(render_to_string("accounts/mail/frame.html", framed), "text/html")
    _hand_over(message)


@retry(
    retry=retry_if_exception_type(OSError),
    stop=stop_after_attempt(_TRIES),
    wait=wait_exponential(min=_FIRST_PAUSE, max=_LONGEST_PAUSE),
    before_sleep=before_sleep_log(logger, logging.WARNING),
    reraise=True,
)
def _hand_over(message: EmailMultiAlternatives) -> None:
    message.send()


def origin_of(entry: Activity) -> dict[str, Any]:
    """Give the words for when and where something happened; of an administrator no address is told."""
    if entry.is_by_administrator:
        return {"at": entry.at, "by_administrator": True}
    return {"at": entry.at, "address": entry.address, "device": devices.name_of(entry.user_agent)}


def _tell(letter: Letter, entry: Activity) -> None:
    address = User.objects.filter(pk=entry.user_id).values_list("email", flat=True).first()
    if address is None:
        return  # deleted since
    send(letter, address, **origin_of(entry), **entry.details)
