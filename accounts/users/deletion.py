"""Delete an account together with its sessions, security history and personal data."""

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
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
    if apps.is_installed("django.contrib.admin"):
        _remove_name_from_admin_log(user)
    user.delete()
    connection = connection_of(User)
    if connection.vendor == "postgresql":
        # Otherwise a constraint that Django does not know would fail at the commit, outside of the savepoint.
        connection.check_constraints()


def _remove_name_from_admin_log(user: User) -> None:
    # Not imported: the model exists only where the admin is installed.
    entries = apps.get_model("admin", "LogEntry").objects
    content_type = ContentType.objects.get_for_model(User)
    entries.filter(content_type=content_type, object_id=str(user.pk)).update(object_repr=f"user {user.pk}")
