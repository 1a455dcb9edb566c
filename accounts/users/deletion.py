"""Delete an account together with its sessions, security history and personal data."""

from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.db import IntegrityError

from accounts.databases import atomic, connection_of
from accounts.errors import AccountInUse
from accounts.history.events import Event, record
from accounts.models import User
from accounts.values.clients import Client


def delete(user: User, client: Client, *, by: int | None = None) -> None:
    """Delete a user and all related rows. Access tokens of the user are rejected from then on.

    Entries about the account in the admin log remain, with its name replaced by its id. `by` is the id of the
    administrator who deletes the account, if any.

    Raises AccountInUse, and deletes nothing, if rows that refer to the user protect it.
    """
    user_id = user.pk
    try:
        with atomic(User):
            _delete_rows(user)
    except IntegrityError as error:  # also ProtectedError and RestrictedError
        raise AccountInUse from error
    record(Event.USER_DELETED, client=client, user_id=user_id, by=by)


def _delete_rows(user: User) -> None:
    # A concurrent sign-in waits for this lock and then finds no user to start a session for.
    User.objects.select_for_update().filter(pk=user.pk).first()
    logged = LogEntry.objects.filter(content_type=get_content_type_for_model(User), object_id=str(user.pk))
    logged.update(object_repr=f"user {user.pk}")
    user.delete()
    connection = connection_of(User)
    if connection.vendor == "postgresql":
        # Otherwise a constraint that Django does not know would fail at the commit, outside of the savepoint.
        connection.check_constraints()
