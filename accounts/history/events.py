"""What happens to accounts: told in the log, kept in the user's history, and mailed to the owner where it matters.

A line or row holds who (user id), which session, from where, and never a secret or a text that a person typed:
people type passwords into the username field.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from uuid import UUID

from django.utils import timezone

from accounts.history import background, mail
from accounts.history.mail import MailTemplate
from accounts.models import Activity, EndReason
from accounts.values.clients import NO_CLIENT, Client

logger = logging.getLogger("accounts.events")

MAX_HISTORY_ENTRIES_PER_DAY = 50
"""How many things of one kind a user's history keeps in a day: strangers and scripts cause some of them."""

MAX_MAILS_PER_DAY = 10
"""Of how many things of one kind a user is mailed in a day."""


class Event(StrEnum):
    """What can happen, as `subject:action`."""

    USER_REGISTERED = "user:registered"
    USER_IMPORTED = "user:imported"
    USER_DEACTIVATED = "user:deactivated"
    USER_ACTIVATED = "user:activated"
    USER_DELETED = "user:deleted"
    SIGN_IN_SUCCEEDED = "sign_in:succeeded"
    SIGN_IN_FROM_NEW_DEVICE = "sign_in:new_device"
    ADMIN_SIGN_IN_SUCCEEDED = "admin_sign_in:succeeded"
    SIGN_IN_FAILED = "sign_in:failed"
    SIGN_IN_LOCKED_OUT = "sign_in:locked_out"
    SIGN_UP_LOCKED_OUT = "sign_up:locked_out"
    MAIL_LOCKED_OUT = "mail:locked_out"
    REAUTHENTICATED = "reauthentication:succeeded"
    REAUTHENTICATION_FAILED = "reauthentication:failed"
    ACCESS_REFUSED = "access:refused"
    SESSION_REFRESHED = "session:refreshed"
    SESSION_REPEATED = "session:refresh_repeated"
    SESSION_REUSED = "session:reuse_detected"
    SESSION_ENDED = "session:ended"
    SESSIONS_ENDED = "session:all_ended"
    ROLES_CHANGED = "roles:changed"
    PROFILE_CHANGED = "profile:changed"
    EMAIL_CHANGED = "email:changed"
    EMAIL_VERIFIED = "email:verified"
    KEY_ROTATED = "key:rotated"
    KEY_DROPPED = "key:dropped"
    PASSWORD_CHANGED = "password:changed"  # noqa: S105  an event, not a secret
    PASSWORD_RESET_ASKED = "password:reset_asked"  # noqa: S105
    PASSWORD_RESET_FORCED = "password:reset_forced"  # noqa: S105
    PASSWORD_UPGRADED = "password:hash_upgraded"  # noqa: S105


DESCRIPTIONS: Mapping[str, str] = {
    Event.USER_REGISTERED: "Account made",
    Event.USER_IMPORTED: "Account brought along from another service",
    Event.USER_DEACTIVATED: "Account deactivated",
    Event.USER_ACTIVATED: "Account activated",
    Event.SIGN_IN_SUCCEEDED: "Signed in",
    Event.SIGN_IN_FROM_NEW_DEVICE: "Sign-in from a new device",
    Event.ADMIN_SIGN_IN_SUCCEEDED: "Signed in to the administration",
    Event.SIGN_IN_FAILED: "Failed sign-in",
    Event.SIGN_IN_LOCKED_OUT: "Sign-in refused after too many failures",
    Event.REAUTHENTICATED: "Password confirmed",
    Event.REAUTHENTICATION_FAILED: "Wrong password at a confirmation",
    Event.SESSION_REUSED: "A used refresh token came back",
    Event.SESSION_ENDED: "Session ended",
    Event.SESSIONS_ENDED: "All sessions ended",
    Event.ROLES_CHANGED: "Roles changed",
    Event.PROFILE_CHANGED: "Profile changed",
    Event.EMAIL_CHANGED: "E-mail address changed",
    Event.EMAIL_VERIFIED: "E-mail address verified",
    Event.PASSWORD_CHANGED: "Password changed",
    Event.PASSWORD_RESET_ASKED: "Password reset asked for",
    Event.PASSWORD_RESET_FORCED: "Password reset by an administrator",
}
"""What a user's history keeps, in words. What happens at a refresh is not among it: nothing grows with those."""

MAIL_TEMPLATES: Mapping[Event, MailTemplate] = {
    Event.SIGN_IN_FROM_NEW_DEVICE: MailTemplate.NEW_DEVICE,
    Event.SESSION_REUSED: MailTemplate.TOKEN_REUSED,
    Event.ROLES_CHANGED: MailTemplate.ROLES_CHANGED,
    Event.PASSWORD_CHANGED: MailTemplate.PASSWORD_CHANGED,
}

# Kept behind the answer, which then takes as long as for a name that nobody has.
_UNMEASURABLE = frozenset({Event.SIGN_IN_FAILED, Event.SIGN_IN_LOCKED_OUT})


def describe(entry: Activity) -> str:
    """Say in words what happened."""
    # A later release may have dropped an event that is still in the history.
    return DESCRIPTIONS.get(entry.event, entry.event)


def record(
    event: Event,
    *,
    client: Client,
    user_id: int | None = None,
    session_id: UUID | None = None,
    by: int | None = None,
    **details: object,
) -> Activity:
    """Tell of one thing; return how it is told.

    `by` is the id of the administrator who did it; `details` are small facts of the event's own: a reason, role
    names, a count.
    """
    entry = _entry(event, client, user_id, session_id, by, details)
    _log(entry)
    if event in _UNMEASURABLE:
        store = entry.store if user_id is not None else entry.simulate_save
        background.HISTORY.after_commit(store, max_per_day=MAX_HISTORY_ENTRIES_PER_DAY)
    elif event in DESCRIPTIONS and user_id is not None:
        number = entry.store(max_per_day=MAX_HISTORY_ENTRIES_PER_DAY)
        if event in MAIL_TEMPLATES and number is not None and number < MAX_MAILS_PER_DAY:
            mail.notify_owner(MAIL_TEMPLATES[event], entry)
    return entry


def record_session_ends(ended: Mapping[UUID, int], reason: EndReason, client: Client, *, by: int | None) -> None:
    """Tell of many sessions, each with its owner's id, that were ended at once."""
    entries = [
        _entry(Event.SESSION_ENDED, client, owner_id, session_id, by, {"reason": reason})
        for session_id, owner_id in ended.items()
    ]
    _record_all(entries)


def record_imports(roles: Mapping[int, Collection[str]]) -> None:
    """Tell of many accounts, each with its roles, that were brought along at once."""
    entries = [
        _entry(Event.USER_IMPORTED, NO_CLIENT, user_id, None, None, {"roles": sorted(names)})
        for user_id, names in roles.items()
    ]
    _record_all(entries)


def _record_all(entries: Sequence[Activity]) -> None:
    for entry in entries:
        _log(entry)
    Activity.store_all(entries)


def _entry(  # noqa: PLR0913, PLR0917  the columns of one row
    event: Event,
    client: Client,
    user_id: int | None,
    session_id: UUID | None,
    by: int | None,
    details: Mapping[str, object],
) -> Activity:
    return Activity(
        user_id=user_id,  # type: ignore[misc]  # without a user it is told in the log alone
        event=event.value,
        at=timezone.now(),
        session_id=session_id,
        address=client.address,
        user_agent=client.user_agent,
        by=by,
        details=dict(details),
    )


def _log(entry: Activity) -> None:
    fields = {
        "event": entry.event,
        "user_id": entry.user_id,
        "session_id": entry.session_id and str(entry.session_id),
        "address": entry.address,
        "by": entry.by,
        **entry.details,
    }
    logger.info(entry.event, extra=fields)
