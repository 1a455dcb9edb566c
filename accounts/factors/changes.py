"""Rename and remove the second factors of a user. Each removal is recorded, and the owner is notified by email."""

from uuid import UUID

from django.db.models import F, Q

from accounts.databases import atomic
from accounts.errors import NotFound
from accounts.factors import listing
from accounts.factors.enrollment import require_recent_factor
from accounts.factors.listing import Factor
from accounts.fields import new_security_stamp
from accounts.history.events import Event, record
from accounts.models import Authenticator, EndReason, Passkey, RefreshToken, SessionKind, User
from accounts.sessions import lifecycle, step_up, validity
from accounts.values.clients import NO_CLIENT, Client


def rename(user: User, factor_id: UUID, name: str, session_id: UUID, client: Client) -> Factor:
    """Rename a factor of the user.

    Raises SecondFactorRequired or NotFound.
    """
    require_recent_factor(user, session_id)
    factor = listing.find(user, factor_id)
    factor.name = name
    # Not `save`, which fails if the factor was removed in between.
    if not type(factor).objects.filter(pk=factor.pk).update(name=name):
        raise NotFound
    record(Event.FACTOR_RENAMED, client=client, user_id=user.pk, session_id=session_id)
    return listing.describe(factor)


def remove(user: User, factor_id: UUID, session_id: UUID, client: Client) -> None:
    """Remove a factor of the user. With the last one, the recovery codes are removed.

    Sign-ins with a second factor for single sign-on end, except the session in which the user removes it.

    Raises SecondFactorRequired or NotFound.
    """
    require_recent_factor(user, session_id)
    removed = _remove(user, factor_id, session_id, client)
    record(
        Event.FACTOR_REMOVED,
        client=client,
        user_id=user.pk,
        session_id=session_id,
        kind=removed.type,
        factor=str(removed.id),
    )


def reset(user: User, client: Client = NO_CLIENT, *, by: int | None = None) -> int:
    """Remove all factors and recovery codes of a user and end their sessions; return how many factors there were.

    `by` is the id of the administrator, if any.
    """
    with atomic(User):
        lifecycle.lock_second_factors(user)
        count = len(listing.factors_of(user))
        Authenticator.objects.filter(owner=user).delete()
        Passkey.objects.filter(owner=user).delete()
        _forget_all(user)
        # Ends the sessions of the admin, too, and a sign-in with the password that is under way.
        User.objects.filter(pk=user.pk).update(security_stamp=new_security_stamp())
        lifecycle.end_all(user.pk, EndReason.SECOND_FACTORS_RESET, client, by=by)
    record(Event.FACTORS_RESET, client=client, user_id=user.pk, by=by, count=count)
    return count


def _end_single_sign_on(user: User, session_id: UUID, client: Client) -> None:
    """End what may have begun with the factor: sign-ins of browsers, and sessions of applications."""
    by_factor = RefreshToken.objects.filter(owner=user, second_factor_at__isnull=False)
    of_sign_on = by_factor.filter(Q(kind=SessionKind.BROWSER) | Q(application__isnull=False))
    lifecycle.end_many(of_sign_on, EndReason.SECOND_FACTOR_REMOVED, client, surviving=session_id)


def _remove(user: User, factor_id: UUID, session_id: UUID, client: Client) -> Factor:
    with atomic(User):
        lifecycle.lock_second_factors(user)
        factor = listing.find(user, factor_id)
        described = listing.describe(factor)
        _end_single_sign_on(user, session_id, client)
        factor.delete()
        if not listing.factors_of(user):
            _forget_all(user)
    return described


def _forget_all(user: User) -> None:
    """Delete the recovery codes and pending sign-ins of a user without factors, and lower their sessions' level.

    Access tokens that were issued with a factor are invalidated, because they may contain roles that need one.
    """
    user.recovery_codes.all().delete()
    user.pending_sign_ins.all().delete()
    step_up.forget_second_factors(user.pk)
    User.objects.filter(pk=user.pk).update(token_version=F("token_version") + 1)
    validity.forget(user.pk)
