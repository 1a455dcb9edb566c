"""Grant and revoke roles. `accounts.users.signals` invalidates the access tokens that are outdated."""

from collections.abc import Callable, Iterable

from accounts.databases import atomic
from accounts.errors import RoleUnknown
from accounts.history.events import Event, record
from accounts.models import Role, User
from accounts.values.clients import Client

Names = frozenset[str]


def grant(user: User, names: Iterable[str], client: Client, *, by: int | None = None) -> bool:
    """Grant roles, and return whether the user lacked any of them.

    `by` is the id of the administrator, if any.

    Raises RoleUnknown.
    """
    granted = frozenset(names)
    return _change(user, lambda current: current | granted, client, by)


def revoke(user: User, names: Iterable[str], client: Client, *, by: int | None = None) -> bool:
    """Revoke roles, and return whether the user had any of them.

    `by` is the id of the administrator, if any.

    Raises RoleUnknown.
    """
    revoked = frozenset(names)
    refuse_unknown(revoked)
    return _change(user, lambda current: current - revoked, client, by)


def replace(user: User, names: Iterable[str], client: Client, *, by: int | None = None) -> bool:
    """Replace the roles of a user with exactly these, and return whether anything changed.

    `by` is the id of the administrator, if any.

    Raises RoleUnknown.
    """
    new = frozenset(names)
    return _change(user, lambda _: new, client, by)


def refuse_unknown(names: Iterable[str]) -> None:
    """Raise RoleUnknown for the first name that is not a role."""
    requested = list(names)
    known = set(Role.objects.filter(name__in=requested).values_list("name", flat=True))
    for name in requested:
        if name not in known:
            raise RoleUnknown(name)


def _change(user: User, change: Callable[[Names], Names], client: Client, by: int | None) -> bool:
    with atomic(User):
        # The row lock serializes concurrent changes, so that each one is based on the one before.
        User.objects.select_for_update().filter(pk=user.pk).first()
        current = frozenset(user.roles.values_list("name", flat=True))
        new = change(current)
        if new == current:
            return False
        refuse_unknown(sorted(new))
        user.roles.set(Role.objects.filter(name__in=new))
        # An account whose roles an administrator changed must not be purged as an unverified sign-up.
        User.objects.filter(pk=user.pk).update(pending_since=None)
    granted, revoked = sorted(new - current), sorted(current - new)
    record(Event.ROLES_CHANGED, client=client, user_id=user.pk, granted=granted, taken=revoked, by=by)
    return True
