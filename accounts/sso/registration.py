"""Register applications, replace their secrets, and deactivate or delete them. Each change is a security event."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from accounts.databases import atomic
from accounts.history.events import Event, record
from accounts.models import Application, EndReason, RefreshToken
from accounts.sessions import lifecycle
from accounts.sso import applications
from accounts.values.clients import Client

CHANGEABLE = frozenset(
    {"name", "redirect_uris", "post_logout_redirect_uris", "backchannel_logout_uri", "audiences"}
)
"""The columns that `change` stores. The client id is in tokens, and a kind that changed would void the secret."""

_BATCH_SIZE = 1000


def register(application: Application, client: Client, *, by: int | None = None) -> str | None:
    """Store a new application, and return the secret of a confidential one, which is not stored.

    The caller has validated the application. `by` is the id of the administrator, here and below.
    """
    secret = applications.new_secret(application) if application.is_confidential else None
    application.save(force_insert=True)
    _record(Event.APPLICATION_REGISTERED, application, client, by)
    return secret


def change(application: Application, names: Collection[str], client: Client, *, by: int | None = None) -> None:
    """Store the named columns of an application, which the caller has validated.

    Saving the whole row would revert what was changed elsewhere since it was read.
    """
    changed = CHANGEABLE.intersection(names)
    if changed:
        application.save(update_fields=changed)
        record(
            Event.APPLICATION_CHANGED,
            client=client,
            by=by,
            application=application.client_id,
            names=sorted(changed),
        )


def rotate_secret(application: Application, client: Client, *, by: int | None = None) -> str:
    """Generate and return a new secret. The one before it stays valid until `finish_rotation`."""
    with _locked(application) as locked:
        secret = applications.new_secret(locked)
    _record(Event.APPLICATION_SECRET_ROTATED, application, client, by)
    return secret


def finish_rotation(application: Application, client: Client, *, by: int | None = None) -> bool:
    """Refuse the previous secret from now on, and return whether there was one."""
    with _locked(application) as locked:
        had_two = bool(locked.previous_secret_digest)
        applications.forget_previous_secret(locked)
    if had_two:
        _record(Event.APPLICATION_SECRET_DROPPED, application, client, by)
    return had_two


def deactivate(application: Application, client: Client, *, by: int | None = None) -> int:
    """Refuse sign-ins and refreshes of an application, and end its sessions. Returns how many were ended."""
    _set_active(application, False)  # noqa: FBT003  the value of the column
    _record(Event.APPLICATION_DEACTIVATED, application, client, by)
    return _end_sessions(application, client, by)


def activate(application: Application, client: Client, *, by: int | None = None) -> None:
    """Accept sign-ins of an application again. Sessions that were ended stay ended."""
    _set_active(application, True)  # noqa: FBT003  the value of the column
    _record(Event.APPLICATION_ACTIVATED, application, client, by)


def delete(application: Application, client: Client, *, by: int | None = None) -> None:
    """End the sessions of an application, and delete it with them.

    It is deactivated first, so that no session starts in between.
    """
    deactivate(application, client, by=by)
    sessions = RefreshToken.objects.filter(application=application)
    # In batches, because the deletion of the application would load every session into memory.
    while batch := list(sessions.values_list("pk", flat=True)[:_BATCH_SIZE]):
        RefreshToken.objects.filter(pk__in=batch).delete()
    _record(Event.APPLICATION_DELETED, application, client, by)
    application.delete()


def _end_sessions(application: Application, client: Client, by: int | None) -> int:
    sessions = RefreshToken.objects.filter(application=application)
    return lifecycle.end_many(sessions, EndReason.REVOKED, client, by=by)


def _set_active(application: Application, is_active: bool) -> None:  # noqa: FBT001  the value of the column
    application.is_active = is_active
    application.save(update_fields=["is_active"])


@contextmanager
def _locked(application: Application) -> Iterator[Application]:
    """Yield the row as it is stored, locked, and save its secrets."""
    with atomic(Application):
        locked = Application.objects.select_for_update(no_key=True).get(pk=application.pk)
        yield locked
        locked.save(update_fields=["secret_digest", "previous_secret_digest"])


def _record(event: Event, application: Application, client: Client, by: int | None) -> None:
    record(event, client=client, by=by, application=application.client_id)
