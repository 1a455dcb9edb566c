"""Security events: log them, store them in the user's history, and email the owner if the event calls for it.

A log line or history entry has the user's id, the session, the address and the device. It never contains a secret
or text that a person typed, because people type passwords into the username field.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from django.utils import timezone

from accounts.history import background, mail
from accounts.history.mail import MailTemplate
from accounts.models import Activity, EndReason
from accounts.values.clients import NO_CLIENT, Client

logger = logging.getLogger("accounts.events")

MAX_HISTORY_ENTRIES_PER_DAY = 50
"""Entries of one kind per user and day. Strangers and scripts can cause some kinds, so the number is limited."""

MAX_MAILS_PER_DAY = 10
"""Emails about one kind of event per user and day."""


class Event(StrEnum):
    """All security events, as `subject:action`."""

    USER_REGISTERED = "user:registered"
    USER_IMPORTED = "user:imported"
    USER_DEACTIVATED = "user:deactivated"
    USER_ACTIVATED = "user:activated"
    USER_DELETED = "user:deleted"
    INVITATION_CREATED = "invitation:created"
    INVITATION_REVOKED = "invitation:revoked"
    INVITATION_USED = "invitation:used"
    SIGN_IN_SUCCEEDED = "sign_in:succeeded"
    SIGN_IN_FROM_NEW_DEVICE = "sign_in:new_device"
    APPLICATION_SIGNED_IN = "sign_in:application"
    CODE_REUSED = "authorization_code:reuse_detected"
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
    SECOND_FACTOR_REQUESTED = "sign_in:second_factor_requested"
    FACTOR_ADDED = "factor:added"
    FACTOR_RENAMED = "factor:renamed"
    FACTOR_REMOVED = "factor:removed"
    FACTORS_RESET = "factor:reset"
    FACTOR_FAILED = "factor:failed"
    PASSKEY_COPIED = "factor:copy_suspected"
    RECOVERY_CODE_USED = "recovery_codes:used"
    RECOVERY_CODES_RENEWED = "recovery_codes:renewed"
    APPLICATION_REGISTERED = "application:registered"
    APPLICATION_CHANGED = "application:changed"
    APPLICATION_SECRET_ROTATED = "application:secret_rotated"  # noqa: S105  an event, not a secret
    APPLICATION_SECRET_DROPPED = "application:previous_secret_dropped"  # noqa: S105
    APPLICATION_DEACTIVATED = "application:deactivated"
    APPLICATION_ACTIVATED = "application:activated"
    APPLICATION_DELETED = "application:deleted"
    KEY_ROTATED = "key:rotated"
    KEY_DROPPED = "key:dropped"
    PASSWORD_CHANGED = "password:changed"  # noqa: S105  an event, not a secret
    PASSWORD_RESET_ASKED = "password:reset_asked"  # noqa: S105
    PASSWORD_RESET_FORCED = "password:reset_forced"  # noqa: S105
    PASSWORD_UPGRADED = "password:hash_upgraded"  # noqa: S105


DESCRIPTIONS: Mapping[str, str] = {
    Event.USER_REGISTERED: "Account created",
    Event.USER_IMPORTED: "Account imported",
    Event.USER_DEACTIVATED: "Account deactivated",
    Event.USER_ACTIVATED: "Account activated",
    Event.INVITATION_CREATED: "Invitation sent",
    Event.INVITATION_REVOKED: "Invitation revoked",
    Event.INVITATION_USED: "Invitation accepted",
    Event.SIGN_IN_SUCCEEDED: "Signed in",
    Event.SIGN_IN_FROM_NEW_DEVICE: "Sign-in from a new device",
    Event.APPLICATION_SIGNED_IN: "Signed in to an application",
    Event.CODE_REUSED: "Authorization code reused",
    Event.ADMIN_SIGN_IN_SUCCEEDED: "Signed in to the admin",
    Event.SIGN_IN_FAILED: "Failed sign-in",
    Event.SIGN_IN_LOCKED_OUT: "Sign-in blocked after too many failures",
    Event.REAUTHENTICATED: "Password confirmed",
    Event.REAUTHENTICATION_FAILED: "Password confirmation failed",
    Event.SESSION_REUSED: "Refresh token reused",
    Event.SESSION_ENDED: "Session ended",
    Event.SESSIONS_ENDED: "All sessions ended",
    Event.ROLES_CHANGED: "Roles changed",
    Event.PROFILE_CHANGED: "Profile changed",
    Event.EMAIL_CHANGED: "Email address changed",
    Event.EMAIL_VERIFIED: "Email address verified",
    Event.SECOND_FACTOR_REQUESTED: "Right password, second factor requested",
    Event.FACTOR_ADDED: "Second factor added",
    Event.FACTOR_RENAMED: "Second factor renamed",
    Event.FACTOR_REMOVED: "Second factor removed",
    Event.FACTORS_RESET: "Second factors removed by an administrator",
    Event.FACTOR_FAILED: "Second factor refused",
    Event.PASSKEY_COPIED: "Passkey refused, because it may have been copied",
    Event.RECOVERY_CODE_USED: "Recovery code used",
    Event.RECOVERY_CODES_RENEWED: "Recovery codes renewed",
    Event.PASSWORD_CHANGED: "Password changed",
    Event.PASSWORD_RESET_ASKED: "Password reset requested",
    Event.PASSWORD_RESET_FORCED: "Password reset by an administrator",
}
"""The events in a user's history, with descriptions. Refreshes are not included, so that they add no rows."""

MAIL_TEMPLATES: Mapping[Event, MailTemplate] = {
    Event.SIGN_IN_FROM_NEW_DEVICE: MailTemplate.NEW_DEVICE,
    Event.SESSION_REUSED: MailTemplate.TOKEN_REUSED,
    Event.ROLES_CHANGED: MailTemplate.ROLES_CHANGED,
    Event.PASSWORD_CHANGED: MailTemplate.PASSWORD_CHANGED,
    Event.FACTOR_ADDED: MailTemplate.FACTOR_ADDED,
    Event.FACTOR_REMOVED: MailTemplate.FACTOR_REMOVED,
    Event.FACTORS_RESET: MailTemplate.FACTORS_RESET,
    Event.PASSKEY_COPIED: MailTemplate.PASSKEY_COPIED,
    Event.RECOVERY_CODE_USED: MailTemplate.RECOVERY_CODE_USED,
    Event.RECOVERY_CODES_RENEWED: MailTemplate.RECOVERY_CODES_RENEWED,
}

# Stored in the background, so that the response takes as long as for an unknown username.
_RECORDED_IN_BACKGROUND = frozenset({Event.SIGN_IN_FAILED, Event.SIGN_IN_LOCKED_OUT})


class _Facts(NamedTuple):
    """The facts about one security event, which become a log line and, for most types, a row."""

    event: Event
    client: Client
    user_id: int | None
    session_id: UUID | None
    by: int | None
    details: Mapping[str, object]


def describe(entry: Activity) -> str:
    """Return the description of a history entry."""
    # The history may contain an event of an older release.
    return DESCRIPTIONS.get(entry.event, entry.event)


def record(
    event: Event,
    *,
    client: Client,
    user_id: int | None = None,
    session_id: UUID | None = None,
    by: int | None = None,
    **details: object,
) -> Activity | None:
    """Record a security event: log it, add it to the user's history, and email the owner where required.

    `by` is the id of the administrator who caused it. `details` are the event's own fields, such as a reason, role
    names or a count. Returns the history entry, or None if the history does not contain events of this type.
    """
    facts = _Facts(event, client, user_id, session_id, by, details)
    _log(facts)
    if event not in DESCRIPTIONS:
        return None
    entry = _entry(facts)
    if event in _RECORDED_IN_BACKGROUND:
        store = entry.store if user_id is not None else entry.simulate_save
        background.HISTORY.after_commit(store, max_per_day=MAX_HISTORY_ENTRIES_PER_DAY)
    elif user_id is not None:
        number = entry.store(max_per_day=MAX_HISTORY_ENTRIES_PER_DAY)
        if event in MAIL_TEMPLATES and number is not None and number < MAX_MAILS_PER_DAY:
            mail.notify_owner(MAIL_TEMPLATES[event], entry)
    return entry


def record_session_ends(ended: Mapping[UUID, int], reason: EndReason, client: Client, *, by: int | None) -> None:
    """Record the end of many sessions. `ended` maps session ids to the ids of their owners."""
    _record_all(
        _Facts(Event.SESSION_ENDED, client, owner_id, session_id, by, {"reason": reason})
        for session_id, owner_id in ended.items()
    )


def record_imports(roles: Mapping[int, Collection[str]]) -> None:
    """Record the import of many accounts. `roles` maps user ids to role names."""
    _record_all(
        _Facts(Event.USER_IMPORTED, NO_CLIENT, user_id, None, None, {"roles": sorted(names)})
        for user_id, names in roles.items()
    )


def _record_all(events: Iterable[_Facts]) -> None:
    entries = []
    for facts in events:
        _log(facts)
        entries.append(_entry(facts))
    Activity.store_all(entries)


def _entry(facts: _Facts) -> Activity:
    return Activity(
        user_id=facts.user_id,  # type: ignore[misc]  # without a user, the entry is not stored
        event=facts.event.value,
        at=timezone.now(),
        session_id=facts.session_id,
        address=facts.client.address,
        user_agent=facts.client.user_agent,
        by=facts.by,
        details=dict(facts.details),
    )


def _log(facts: _Facts) -> None:
    name = facts.event.value
    fields = {
        "event": name,
        "user_id": facts.user_id,
        "session_id": facts.session_id and str(facts.session_id),
        "address": facts.client.address,
        "by": facts.by,
        **facts.details,
    }
    logger.info(name, extra=fields)
