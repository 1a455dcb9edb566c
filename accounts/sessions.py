"""Sessions: start, rotate, check, end. Every rule of a session's life is here.

A session is one row. A refresh moves it on with one conditional UPDATE; of any number of simultaneous ones
exactly one moves it, and the others are answered as that one was.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone

from accounts import access_tokens, refresh_tokens
from accounts.access_tokens import AccessToken
from accounts.claims import AccessClaims
from accounts.clients import Client
from accounts.conf import auth_settings
from accounts.errors import (
    InvalidCredentials,
    NotFound,
    RefreshTokenExpired,
    RefreshTokenReused,
    RefreshTokenRevoked,
    RefreshTokenUnknown,
    TokenRevoked,
    TokenStale,
)
from accounts.events import Event, record, record_ends
from accounts.models import EndReason, RefreshToken, RefreshTokenQuerySet, User, split_role_names
from accounts.refresh_tokens import RefreshSecret

MOST_GENERATIONS = 100_000
"""How often a session can be refreshed: every 26 seconds for 30 days. It bounds how long a chain takes to walk."""

_BATCH = 1000


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
    access_tokens.refuse_unknown_audience(audience)
    now = timezone.now()
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
    secret = refresh_tokens.first(session.uuid)
    session.secret_digest = secret.digest
    try:
        session.save(force_insert=True)
    except IntegrityError:
        # The user was deleted since the password was checked.
        raise InvalidCredentials from None
    record(Event.SIGN_IN_SUCCEEDED, client=client, user_id=user.pk, session_id=session.uuid)
    return _pair(session, secret, user.role_names, now, audience)


def rotate(refresh_token: str, client: Client, *, audience: str | None = None) -> TokenPair:
    """Swap a refresh token for its successor; a spent one ends its session.

    Within the grace after a rotation, and until the successor is itself used, the previous generation is
    answered with that same successor. With rotation switched off the same token is answered.

    Raises RefreshTokenUnknown, RefreshTokenExpired, RefreshTokenRevoked or RefreshTokenReused, or InvalidRequest
    for an unknown audience; then nothing is swapped.
    """
    access_tokens.refuse_unknown_audience(audience)
    now = timezone.now()
    presented = refresh_tokens.parse(refresh_token)
    session = _find_live(presented.session_id, now)
    if _is_current(session, presented):
        current = _advance(session, presented, now)
        if current is not None:
            record(Event.SESSION_REFRESHED, client=client, user_id=session.owner_id, session_id=session.uuid)
            return _pair(session, current, _roles(session), now, audience)
        # Another request moved the session on, or ended it, since it was read.
        session = _find_live(presented.session_id, now)
    return _answer_spent(session, presented, client, now, audience)


def check(claims: AccessClaims) -> User:
    """Return the user of a verified access token, if its session, its owner and its `ver` are still good.

    This asks the database once. (`AUTH_REVOCATION_LAG` above 0 will be answered from memory here.)

    Raises TokenRevoked or TokenStale.
    """
    session = RefreshToken.objects.select_related("owner").filter(pk=claims.session_id).first()
    if session is None or session.owner_id != claims.user_id or session.has_ended:
        raise TokenRevoked
    if session.expires_at <= timezone.now():
        raise TokenRevoked
    if session.owner.token_version != claims.token_version:
        raise TokenStale
    return session.owner


def live_of(user: User) -> RefreshTokenQuerySet:
    """Find the sessions that a user can go on with, newest first."""
    sessions = RefreshToken.objects.live(timezone.now())
    return sessions.filter(owner=user, owner_stamp=user.security_stamp).order_by("-pk")


def step_up(session_id: UUID, user: User, client: Client) -> AccessToken:
    """Take the session of a user whose password was just checked for recently authenticated (RFC 9470).

    Returns an access token with a fresh `auth_time`, which later refreshes keep.

    Raises TokenRevoked where the session ended, or the password changed, since then.
    """
    now = timezone.now()
    own = RefreshToken.objects.live(now).filter(pk=session_id, owner=user, owner_stamp=user.security_stamp)
    session = own.with_owner().first() if own.update(authenticated_at=now) else None
    if session is None:
        raise TokenRevoked
    record(Event.REAUTHENTICATED, client=client, user_id=user.pk, session_id=session_id)
    return access_tokens.issue(session, _roles(session), at=now)


def carry_over(session_id: UUID, stamp: int) -> None:
    """Let a session, unless it is over, stand on its owner's new security stamp: it survives the new password."""
    RefreshToken.objects.filter(pk=session_id, ended_at=None).update(owner_stamp=stamp)


def end_by_refresh_token(refresh_token: str, client: Client) -> None:
    """Sign out with any refresh token that this service issued, spent ones too; ignore all others."""
    try:
        presented = refresh_tokens.parse(refresh_token)
    except RefreshTokenUnknown:
        return
    # Of a session that is over nothing is left to end: its chain is not walked again and again.
    session = RefreshToken.objects.live(timezone.now()).filter(pk=presented.session_id).first()
    if session is not None and _current_after(session, presented) is not None:
        end(session.uuid, EndReason.SIGNED_OUT, client)


def end(session_id: UUID, reason: EndReason, client: Client, *, by: int | None = None) -> bool:
    """End one session; return whether it was live until now. `by` is the id of the administrator who does it."""
    sessions = RefreshToken.objects.filter(pk=session_id)
    if not sessions.end(reason, at=timezone.now()):
        return False
    owner_id = sessions.values_list("owner_id", flat=True).first()
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
    count = others.end(reason, at=timezone.now())
    record(Event.SESSIONS_ENDED, client=client, user_id=user_id, reason=reason, count=count)
    return count


def end_all(user_id: int, reason: EndReason, client: Client, *, by: int | None = None) -> int:
    """End every session of a user, in one statement; return how many were not over yet."""
    count = RefreshToken.objects.filter(owner_id=user_id).end(reason, at=timezone.now())
    record(Event.SESSIONS_ENDED, client=client, user_id=user_id, reason=reason, count=count, by=by)
    return count


def end_many(selected: RefreshTokenQuerySet, reason: EndReason, client: Client, *, by: int | None = None) -> int:
    """End a selection of any size, in bounded batches; return how many were not over yet."""
    count = 0
    while batch := dict(selected.filter(ended_at=None).values_list("pk", "owner_id")[:_BATCH]):
        RefreshToken.objects.filter(pk__in=batch).end(reason, at=timezone.now())
        record_ends(batch, reason, client, by=by)
        count += len(batch)
    return count


def _find_live(session_id: UUID, now: datetime) -> RefreshToken:
    session = RefreshToken.objects.with_owner().filter(pk=session_id).first()
    if session is None:
        raise RefreshTokenUnknown
    if session.has_ended:
        raise RefreshTokenRevoked
    if session.expires_at <= now:
        raise RefreshTokenExpired
    return session


def _is_current(session: RefreshToken, presented: RefreshSecret) -> bool:
    return presented.generation == session.generation and hmac.compare_digest(
        presented.digest, bytes(session.secret_digest)
    )


def _current_after(session: RefreshToken, presented: RefreshSecret) -> RefreshSecret | None:
    """Walk from a presented generation to the session's current one; None for what was never issued."""
    if presented.generation > session.generation:
        return None
    return refresh_tokens.descendant(presented, generation=session.generation, digest=bytes(session.secret_digest))


def _advance(session: RefreshToken, presented: RefreshSecret, now: datetime) -> RefreshSecret | None:
    """Move the session on by one compare-and-swap; None if another request came first."""
    settings = auth_settings()
    unchanged = RefreshToken.objects.live(now).filter(pk=session.pk, secret_digest=presented.digest)
    if not settings.refresh_token_rotation:
        return presented if unchanged.update(last_used_at=now) else None
    successor = refresh_tokens.successor(presented)
    if successor.generation > MOST_GENERATIONS:
        raise RefreshTokenExpired
    expires_at = min(now + settings.refresh_token_lifetime, session.session_expires_at)
    moved = unchanged.update(
        secret_digest=successor.digest,
        generation=successor.generation,
        expires_at=expires_at,
        last_used_at=now,
        rotated_at=now,
    )
    if not moved:
        return None
    session.expires_at = expires_at
    return successor


def _answer_spent(
    session: RefreshToken, presented: RefreshSecret, client: Client, now: datetime, audience: str | None
) -> TokenPair:
    """Answer a generation that is not the current one: the same successor in grace, else the session's end."""
    current = _current_after(session, presented)
    if current is None:
        raise RefreshTokenUnknown
    if current.generation - presented.generation <= 1 and _is_in_grace(session, now):
        record(Event.SESSION_REPEATED, client=client, user_id=session.owner_id, session_id=session.uuid)
        return _pair(session, current, _roles(session), now, audience)
    record(
        Event.SESSION_REUSED,
        client=client,
        user_id=session.owner_id,
        session_id=session.uuid,
        presented_generation=presented.generation,
        current_generation=current.generation,
    )
    end(session.uuid, EndReason.REUSED, client)
    raise RefreshTokenReused


def _is_in_grace(session: RefreshToken, now: datetime) -> bool:
    grace = auth_settings().refresh_token_grace
    return session.rotated_at is not None and now < session.rotated_at + grace


def _roles(session: RefreshToken) -> tuple[str, ...]:
    return split_role_names(getattr(session, "fetched_role_names", None))


def _pair(
    session: RefreshToken, secret: RefreshSecret, roles: tuple[str, ...], now: datetime, audience: str | None
) -> TokenPair:
    access = access_tokens.issue(session, roles, at=now, audience=audience)
    remaining: timedelta = session.expires_at - now
    return TokenPair(access, refresh_tokens.encode(secret), int(remaining.total_seconds()))
