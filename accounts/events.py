"""The audit trail: one structured log line for each thing that happens to an account.

A line holds who (user id), which session, from where, and never a secret or a text that a person typed:
people type passwords into the username field.
"""

import logging
from enum import StrEnum
from uuid import UUID

from accounts.clients import Client

logger = logging.getLogger("accounts.events")


class Event(StrEnum):
    """What can happen, as `subject:action`."""

    USER_REGISTERED = "user:registered"
    USER_DEACTIVATED = "user:deactivated"
    USER_ACTIVATED = "user:activated"
    USER_DELETED = "user:deleted"
    SIGN_IN_SUCCEEDED = "sign_in:succeeded"
    ADMIN_SIGN_IN_SUCCEEDED = "admin_sign_in:succeeded"
    SIGN_IN_FAILED = "sign_in:failed"
    SIGN_IN_LOCKED_OUT = "sign_in:locked_out"
    SIGN_UP_LOCKED_OUT = "sign_up:locked_out"
    SESSION_REFRESHED = "session:refreshed"
    SESSION_REPEATED = "session:refresh_repeated"
    SESSION_REUSED = "session:reuse_detected"
    SESSION_ENDED = "session:ended"
    SESSIONS_ENDED = "session:all_ended"
    ROLES_CHANGED = "roles:changed"
    PASSWORD_CHANGED = "password:changed"  # noqa: S105  an event, not a secret
    PASSWORD_UPGRADED = "password:hash_upgraded"  # noqa: S105


def record(
    event: Event,
    *,
    client: Client,
    user_id: int | None = None,
    session_id: UUID | None = None,
    **details: object,
) -> None:
    """Write one line. `details` are small facts of the event's own: a reason, role names, an actor's id."""
    fields = {
        "event": event.value,
        "user_id": user_id,
        "session_id": session_id and str(session_id),
        "address": client.address,
        **details,
    }
    logger.info(event.value, extra=fields)
