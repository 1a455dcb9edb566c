"""Leaving: an account is deleted, and with it sessions, history and personal data."""

from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.db import transaction

from accounts.history.events import Event, record
from accounts.models import User
from accounts.sessions import validity
from accounts.values.clients import Client


def delete(user: User, client: Client, *, by: int | None = None) -> None:
    """Delete a user with everything that hangs on the account. Its access tokens are refused from then on.

    What administrators did to the account stays in their log, without its name. `by` is the id of the
    administrator who deletes it.
    """
    user_id = user.pk
    with transaction.atomic():
        # A sign-in under way waits for this lock, and then finds nobody to open a session for.
        User.objects.select_for_update().filter(pk=user_id).first()
        logged = LogEntry.objects.filter(content_type=get_content_type_for_model(User), object_id=str(user_id))
        logged.update(object_repr=f"user {user_id}")
        user.delete()
    validity.forget(user_id)
    record(Event.USER_DELETED, client=client, user_id=user_id, by=by)
