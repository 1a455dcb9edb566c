"""Queue the logout tokens of sessions that become invalid because their owners change.

A new password or a deactivation voids sessions without changing their rows, whichever ORM method writes it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.databases import atomic
from accounts.models.applications import Application
from accounts.models.logout_deliveries import LogoutDelivery

_BATCH_SIZE = 1000


def may_void_sessions(values: Mapping[str, Any]) -> bool:
    """Return whether an update of users to these values, which may be database expressions, can void sessions."""
    keeps_stamp = values.get("security_stamp") == F("security_stamp")
    has_new_stamp = ("password" in values or "security_stamp" in values) and not keeps_stamp
    return has_new_stamp or values.get("is_active", True) is not True


@contextmanager
def queue_logouts(owners: QuerySet[Any]) -> Iterator[None]:
    """Run a block that changes users in a transaction, and queue a logout token for each session that it voids."""
    if not Application.objects.exclude(backchannel_logout_uri="").exists():
        yield
        return
    with atomic(owners.model):
        before = _lock(owners)
        yield
        _queue(before)


def _lock(owners: QuerySet[Any]) -> list[UUID]:
    """Return the valid sessions of the users, of applications that must be notified.

    The users are locked first. A session that is opened under the same lock is found here, or is opened with the
    users as the block leaves them.
    """
    users = owners.model._default_manager.using(owners.db).filter(pk__in=owners.order_by().values("pk"))
    ids = users.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True)
    for _ in ids.iterator():
        pass
    sessions = _sessions().live(timezone.now()).with_valid_owner().filter(owner__in=users.values("pk"))
    return list(sessions.filter(application__backchannel_logout_uri__gt="").values_list("pk", flat=True))


def _queue(before: list[UUID]) -> None:
    now = timezone.now()
    for start in range(0, len(before), _BATCH_SIZE):
        batch = _sessions().filter(pk__in=before[start : start + _BATCH_SIZE])
        valid = list(batch.with_valid_owner().values_list("pk", flat=True))
        LogoutDelivery.objects.enqueue(batch.exclude(pk__in=valid), now)


def _sessions() -> Any:
    # Not imported, because the module of sessions imports that of users, which imports this one.
    return apps.get_model("accounts", "RefreshToken").objects
