"""Renew and raise the authentication of a session (step-up, RFC 9470)."""

from datetime import datetime
from uuid import UUID

from django.db.models import Value
from django.db.models.functions import Replace
from django.utils import timezone

from accounts.conf import auth_settings
from accounts.databases import atomic
from accounts.errors import TokenRevoked
from accounts.factor_errors import InvalidCode
from accounts.history.events import Event, record
from accounts.models import RefreshToken, User
from accounts.sessions.lifecycle import grant_for, live_sessions, lock_second_factors
from accounts.tokens import access_tokens
from accounts.tokens.access_tokens import AccessToken
from accounts.values.authentication import BY_PASSWORD, SEVERAL_FACTORS_METHOD, Authentication
from accounts.values.clients import Client


def step_up(session_id: UUID, user: User, client: Client, authentication: Authentication) -> AccessToken:
    """Mark the session of a user who just authenticated again as recently authenticated (RFC 9470).

    A second factor raises the level of the session.

    Returns an access token with a fresh `auth_time`; later refreshes copy that value.

    Raises TokenRevoked if the session ended or the password changed after it was verified, TokenExpired in the
    last second of the session, ProjectClaimsFault, and InvalidCode if the second factor was removed after it was
    verified. The session is not changed then.
    """
    now = timezone.now()
    is_by_factor = authentication != BY_PASSWORD
    with atomic(RefreshToken):
        if is_by_factor and not lock_second_factors(user):
            raise InvalidCode
        session = _locked(session_id, user)
        session.authenticated_at = now
        if is_by_factor:
            _add_second_factor(session, authentication, now)
        access = access_tokens.issue(grant_for(session), at=now)  # before the session changes, because it may fail
        session.save(update_fields=["authenticated_at", "authentication_methods", "second_factor_at"])
    record(Event.REAUTHENTICATED, client=client, user_id=user.pk, session_id=session_id)
    return access


def present_second_factor(session_id: UUID, user: User, authentication: Authentication) -> None:
    """Raise the level of a session in which the user just presented a second factor, without a step-up.

    Raises TokenRevoked if the session has ended.
    """
    with atomic(RefreshToken):
        session = _locked(session_id, user)
        _add_second_factor(session, authentication, timezone.now())
        session.save(update_fields=["authentication_methods", "second_factor_at"])


def has_recent_second_factor(session_id: UUID) -> bool:
    """Return whether the user presented a second factor in this session at most AUTH_RECENT_AUTHENTICATION ago."""
    earliest = timezone.now() - auth_settings().recent_authentication
    return RefreshToken.objects.filter(pk=session_id, second_factor_at__gte=earliest).exists()


def forget_second_factors(user_id: int) -> None:
    """Lower the level of all sessions of a user who has no second factor any more. The sessions stay valid.

    The caller invalidates the access tokens.
    """
    lowered = Replace("authentication_methods", Value(f" {SEVERAL_FACTORS_METHOD}"))
    RefreshToken.objects.filter(owner_id=user_id).update(authentication_methods=lowered, second_factor_at=None)


def _locked(session_id: UUID, user: User) -> RefreshToken:
    """Return a live session of a user with its owner, locked until the transaction ends.

    Raises TokenRevoked.
    """
    session = live_sessions(user).select_for_update(of=("self",)).with_owner().filter(pk=session_id).first()
    if session is None:
        raise TokenRevoked
    return session


def _add_second_factor(session: RefreshToken, authentication: Authentication, now: datetime) -> None:
    session.authentication_methods = session.authentication.with_second_factor(authentication).joined
    session.second_factor_at = now
