"""Change the username, email address, full name and language of an account. No other field can be changed here."""

from collections.abc import Mapping

from django.db import IntegrityError

from accounts.databases import atomic
from accounts.errors import InvalidRequest, TokenRevoked
from accounts.history import mail
from accounts.history.events import Event, record
from accounts.history.mail import MailTemplate
from accounts.limits import attempts
from accounts.models import User
from accounts.users import email_verification
from accounts.users.name_rules import NAMES, PROFILE_FIELDS, refuse_taken_names, validation_errors
from accounts.values.clients import Client
from accounts.values.identifiers import KEYS, NORMALIZERS, email_key

IDENTIFYING = frozenset({"username", "email"})
"""Fields that a user signs in with or receives email at. Changing one requires a recent authentication."""


def changes(user: User, names: Mapping[str, str]) -> dict[str, str]:
    """Return the given fields, with names normalized, that differ from those of the user."""
    normalized = {
        name: NORMALIZERS[name](text) if name in NAMES else text
        for name, text in names.items()
        if name in PROFILE_FIELDS
    }
    return {name: text for name, text in normalized.items() if text != getattr(user, name)}


def change(user: User, names: Mapping[str, str], client: Client) -> User:
    """Validate and store names that a user requested, and return the stored user.

    Raises InvalidRequest, UsernameTaken, EmailTaken, Throttled, or TokenRevoked if the user has been deleted.
    """
    changed = changes(user, names)
    candidate = _candidate(user, changed)
    if errors := validation_errors(candidate, changed):
        raise InvalidRequest(errors=errors)
    if IDENTIFYING.intersection(changed):
        # Such a change reveals which names are taken, and can send an email to any address.
        attempts.count_sign_up(client, email_key(candidate.email))
    replace(user, changed, client)
    stored: User | None = User.objects.with_role_names().filter(pk=user.pk).first()
    if stored is None:
        raise TokenRevoked
    return stored


def replace(user: User, names: Mapping[str, str], client: Client, *, by: int | None = None) -> None:
    """Store validated names. For a new email address, notify the old one and send a verification link.

    `by` is the id of the administrator who makes the change, if any.

    Raises UsernameTaken, EmailTaken, or TokenRevoked if the user has been deleted.
    """
    changed = changes(user, names)
    if not changed:
        return
    _save(user, changed)
    others = sorted(set(changed) - {"email"})
    if others:
        record(Event.PROFILE_CHANGED, client=client, user_id=user.pk, by=by, names=others)
    if "email" in changed:
        entry = record(Event.EMAIL_CHANGED, client=client, user_id=user.pk, by=by)
        assert entry is not None  # noqa: S101  the history contains events of this type
        mail.notify_former_address(MailTemplate.EMAIL_CHANGED, user, entry)
        email_verification.send_link(user)


def _save(user: User, changed: Mapping[str, str]) -> None:
    columns: dict[str, object] = {**changed}
    columns |= {f"{name}_key": KEYS[name](changed[name]) for name in IDENTIFYING.intersection(changed)}
    if "email" in changed:
        columns["email_verified_at"] = None
    try:
        with atomic(User):
            updated_rows = User.objects.filter(pk=user.pk).update(**columns)
    except IntegrityError:
        refuse_taken_names(_candidate(user, changed))
        raise
    if not updated_rows:
        raise TokenRevoked


def _candidate(user: User, changed: Mapping[str, str]) -> User:
    return User(pk=user.pk, **{name: changed.get(name, getattr(user, name)) for name in PROFILE_FIELDS})
