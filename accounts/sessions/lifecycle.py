"""Sessions: start, check, step up, end. A session is one row; how a refresh moves it on is in `rotation`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import cast
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from accounts.conf import auth_settings
from accounts.errors import (
    InvalidCredentials,
    NotFound,
    TokenRevoked,
    TokenStale,
)
from accounts.history.events import Event, record, record_session_ends
from accounts.models import EndReason, RefreshToken, RefreshTokenQuerySet, User, split_role_names
from accounts.sessions import validity
from accounts.tokens import access_tokens, refresh_tokens
from accounts.tokens.access_tokens import AccessToken, Grant
from accounts.tokens.claims import AccessClaims
from accounts.tokens.refresh_tokens import RefreshSecret
from accounts.values.clients import Client

_BATCH_SIZE = 1000


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client goes on with; `refresh_expires_in` is in seconds."""

    access: AccessToken
    refresh_token: str
    refresh_expires_in: int

    def __repr__(self) -> str:
        return "TokenPair(...)"


def start(user: User, client: Client, *, audience: str | None = None) -> TokenPair:
    """Open a session for a user whose password was just checked.

    `audience` is the one service that the access token is for; without it, it is for all of them.

    Raises InvalidCredentials, or InvalidRequest for an unknown audience; then no session is opened.
    """
    access_tokens.validate_audience(audience)
    now = timezone.now()
    session, secret = _new_session(user, client, now)
    try:
        session.save(force_insert=True)
    except IntegrityError:
        # The user was deleted since the password was checked.
        raise InvalidCredentials from None
    record(Event.SIGN_IN_SUCCEEDED, client=client, user_id=user.pk, session_id=session.uuid)
    return issue_pair(Grant.from_session(session, user.role_names), secret, now, audience)


def _new_session(user: User, client: Client, now: datetime) -> tuple[RefreshToken, RefreshSecret]:
    settings = auth_settings()
    session = RefreshToken(
        owner=user,
        owner_stamp=user.security_stamp,
        created_at=now,
        authenticated_at=now,
        last_used_at=now,
        session_expires_at=now + settings.session_lifetime,
        expires_at=now + min(settings.refresh_token_lifetime, settings.session_lifetime),
        address=client.address,
        user_agent=client.user_agent,
    )
    secret = refresh_tokens.first_generation(session.uuid)
    session.secret_digest = secret.digest
    return session, secret


def check(claims: AccessClaims) -> User:
    """Return the user of a verified access token, if its session, its owner and its `ver` are still good.

    This asks the database once, or nothing within AUTH_REVOCATION_LAG. The user is loaded when it is looked at.

    Raises TokenRevoked or TokenStale.
    """
    current = validity.look_up(claims.session_id, timezone.now())
    if current is None or current.owner_id != claims.user_id:
        raise TokenRevoked
    if current.token_version != claims.token_version:
        raise TokenStale
    return cast("User", SimpleLazyObject(partial(_load_owner, claims.user_id)))


def live_sessions(user: User) -> RefreshTokenQuerySet:
    """Find the sessions that a user can go on with, newest first."""
    sessions = RefreshToken.objects.live(timezone.now())
    return sessions.filter(owner=user, owner_stamp=user.security_stamp).order_by("-pk")


def step_up(session_id: UUID, user: User, client: Client) -> AccessToken:
    """Take the session of a user whose password was just checked for recently authenticated (RFC 9470).

    Returns an access token with a fresh `auth_time`, which later refreshes keep.

    Raises TokenRevoked where the session ended, or the password changed, since then.
    """
    now = timezone.now()
    matching = live_sessions(user).filter(pk=session_id)
    session = matching.with_owner().first() if matching.update(authenticated_at=now) else None
    if session is None:
        raise TokenRevoked
    record(Event.REAUTHENTICATED, client=client, user_id=user.pk, session_id=session_id)
    return access_tokens.issue(grant_for(session), at=now)


def survive_password_change(session_id: UUID, stamp: int) -> None:
    """Let a session, unless it is over, stand on its owner's new security stamp: it survives the new password."""
    RefreshToken.objects.filter(pk=session_id, ended_at=None).update(owner_stamp=stamp)


def end(session_id: UUID, reason: EndReason, client: Client, *, by: int | None = None) -> bool:
    """End one session; return whether it was live until now. `by` is the id of the administrator who does it."""
    sessions = RefreshToken.objects.filter(pk=session_id)
    if not sessions.end(reason, at=timezone.now()):
        return False
    owner_id = sessions.values_list("owner_id", flat=True).first()
    if owner_id is not None:
        validity.forget(owner_id)
    record(Event.SESSION_ENDED, client=client, user_id=owner_id, session_id=session_id, reason=reason, by=by)
    return True


def end_own(user_id: int, session_id: UUID, client: Client) -> None:
    """End a session for its owner; one that is over already is left as it is.

    Raises NotFound for one that is not the user's, or not at all.
    """
    if not RefreshToken.objects.filter(pk=session_id, owner_id=user_id).exists():
        raise NotFound
    end(session_id, EndReason.ENDED_BY_OWNER, client)


def end_others(user_id: int, session_id: UUID, reason: EndReason, client: Client) -> int:
    """End every session of a user but one; return how many were not over yet."""
    others = RefreshToken.objects.filter(owner_id=user_id).exclude(pk=session_id)
    return _end_sessions_of(others, user_id, reason, client, by=None)


def end_all(user_id: int, reason: EndReason, client: Client, *, by: int | None = None) -> int:
    """End every session of a user, in one statement; return how many were not over yet."""
    return _end_sessions_of(RefreshToken.objects.filter(owner_id=user_id), user_id, reason, client, by=by)


def end_many(selected: RefreshTokenQuerySet, reason: EndReason, client: Client, *, by: int | None = None) -> int:
    """End a selection of any size, in bounded batches; return how many were not over yet."""
    count, last_id = 0, UUID(int=0)
    not_ended = selected.filter(ended_at=None).order_by("pk")
    # From where the last batch ended: what is over already would be read again for each of them.
    while batch := dict(not_ended.filter(pk__gt=last_id).values_list("pk", "owner_id")[:_BATCH_SIZE]):
        last_id = max(batch)
        RefreshToken.objects.filter(pk__in=batch).end(reason, at=timezone.now())
        for owner_id in set(batch.values()):
            validity.forget(owner_id)
        record_session_ends(batch, reason, client, by=by)
        count += len(batch)
    return count


def _end_sessions_of(
    sessions: RefreshTokenQuerySet, user_id: int, reason: EndReason, client: Client, *, by: int | None
) -> int:
    count = sessions.end(reason, at=timezone.now())
    validity.forget(user_id)
    record(Event.SESSIONS_ENDED, client=client, user_id=user_id, reason=reason, count=count, by=by)
    return count


def _load_owner(user_id: int) -> User:
    owner = User.objects.get_queryset().filter(pk=user_id).first()
    if owner is None:
        raise TokenRevoked  # deleted since the session was checked
    return owner


def grant_for(session: RefreshToken) -> Grant:
    """Give what an access token says of a session whose owner, with the roles, was fetched with it."""
    return Grant.from_session(session, split_role_names(getattr(session, "fetched_role_names", None)))


def issue_pair(grant: Grant, secret: RefreshSecret, now: datetime, audience: str | None) -> TokenPair:
    """Issue what a client goes on with: an access token, for one audience or for all, and a refresh token."""
    access = access_tokens.issue(grant, at=now, audience=audience)
    remaining: timedelta = grant.expires_at - now
    return TokenPair(access, refresh_tokens.encode(secret), int(remaining.total_seconds()))
