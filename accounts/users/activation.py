"""Deactivate and reactivate accounts."""

from accounts.databases import atomic
from accounts.fields import new_security_stamp
from accounts.history.events import Event, record
from accounts.models import EndReason, User
from accounts.sessions import lifecycle
from accounts.values.clients import Client


def deactivate(user: User, client: Client, *, by: int | None = None) -> None:
    """Deactivate a user: reject sign-ins, and revoke every session permanently.

    `by` is the id of the administrator who deactivates the user, if any.
    """
    with atomic(User):
        # The new stamp invalidates a session that a concurrent sign-in is about to start.
        if not User.objects.filter(pk=user.pk).update(is_active=False, security_stamp=new_security_stamp()):
            return  # The user has been deleted in the meantime.
        lifecycle.end_all(user.pk, EndReason.DEACTIVATED, client, by=by)
    record(Event.USER_DEACTIVATED, client=client, user_id=user.pk, by=by)


def activate(user: User, client: Client, *, by: int | None = None) -> None:
    """Allow a deactivated user to sign in again. Revoked sessions stay revoked."""
    User.objects.filter(pk=user.pk).update(is_active=True)
    record(Event.USER_ACTIVATED, client=client, user_id=user.pk, by=by)
