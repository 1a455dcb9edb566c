"""Whether an account may be used: deactivate it, activate it."""

from django.db import transaction

from accounts.fields import new_security_stamp
from accounts.history.events import Event, record
from accounts.models import EndReason, User
from accounts.sessions import lifecycle
from accounts.values.clients import Client


def deactivate(user: User, client: Client, *, by: int | None = None) -> None:
    """Refuse the user from now on, and end every session for good. `by` is the id of the administrator."""
    with transaction.atomic():
        # The new stamp ends a session that a simultaneous sign-in is about to open.
        if not User.objects.filter(pk=user.pk).update(is_active=False, security_stamp=new_security_stamp()):
            return  # deleted since
        lifecycle.end_all(user.pk, EndReason.DEACTIVATED, client, by=by)
    record(Event.USER_DEACTIVATED, client=client, user_id=user.pk, by=by)


def activate(user: User, client: Client, *, by: int | None = None) -> None:
    """Let the user sign in again. Sessions that ended stay ended."""
    User.objects.filter(pk=user.pk).update(is_active=True)
    record(Event.USER_ACTIVATED, client=client, user_id=user.pk, by=by)
