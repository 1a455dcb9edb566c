"""Refresh a session, detect the reuse of a refresh token, and sign out by refresh token.

A refresh is one conditional UPDATE of the session's row. Of several simultaneous refreshes with the same token,
exactly one changes the row, and within the grace period the others return the same refresh token as that one.
"""

import hmac
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from accounts.conf import auth_settings
from accounts.errors import (
    RefreshTokenExpired,
    RefreshTokenReused,
    RefreshTokenRevoked,
    RefreshTokenUnknown,
    Unavailable,
)
from accounts.history.events import Event, record
from accounts.models import EndReason, RefreshToken
from accounts.sessions import compare_and_swap, project_claims
from accounts.sessions.lifecycle import TokenPair, end, grant_for, issue_pair
from accounts.tokens import access_tokens, refresh_tokens
from accounts.tokens.access_tokens import Audience, Grant
from accounts.tokens.refresh_tokens import RefreshSecret
from accounts.values.clients import Client

MAX_GENERATIONS = 100_000
"""How many times one session can be refreshed: every 26 seconds for 30 days. The limit bounds the time that
reuse detection needs to walk a chain of secrets."""

_MAX_ATTEMPTS = 3


def rotate(
    refresh_token: str, client: Client, *, audience: Audience = None, client_id: str | None = None
) -> TokenPair:
    """Exchange a refresh token for its successor and a new access token. A reused token ends its session.

    During the grace period after a rotation, and until the successor is used, the previous token returns that same
    successor again. With AUTH_REFRESH_TOKEN_ROTATION off, the presented token itself is returned.

    `client_id` is the application that presents the token, or None for the service's own endpoints. Another's
    refresh token is unknown to it.

    Raises RefreshTokenUnknown, RefreshTokenExpired, RefreshTokenRevoked or RefreshTokenReused if the token is
    refused, InvalidRequest if the audience is unknown, and Unavailable if the account kept changing during every
    attempt. Only RefreshTokenReused changes the session.
    """
    access_tokens.validate_audience(audience)
    now = timezone.now()
    presented = refresh_tokens.parse(refresh_token)
    next_secret = _next_secret(presented)
    extra = _project_claims(presented, client_id, now)
    for _ in range(_MAX_ATTEMPTS):
        grant = _advance(presented, next_secret, now, client_id) if next_secret else None
        if grant is not None and next_secret is not None:
            record(Event.SESSION_REFRESHED, client=client, user_id=grant.owner_id, session_id=grant.session_id)
            return issue_pair(grant._replace(extra=extra), next_secret, now, audience)
        session = _get_live_session(presented.session_id, client_id, now)
        if not _is_current(session, presented):
            return _repeat_or_end_session(session, presented, client, now, audience)
        latest_expiry = session.expires_at if next_secret is presented else session.session_expires_at
        if next_secret is None or _is_in_last_second(latest_expiry, now):
            raise RefreshTokenExpired
        # The session is live and the secret is current, but the UPDATE matched no row: the owner's password
        # changed while the statement waited for a lock, so it read one table from before the change and one from
        # after.
    raise Unavailable


def end_by_refresh_token(
    refresh_token: str, client: Client, *, reason: EndReason = EndReason.SIGNED_OUT
) -> int | None:
    """End the session of a refresh token that this service issued, even a spent one. Ignore any other string.

    Returns the id of the session's owner, or None if no session was ended.
    """
    try:
        presented = refresh_tokens.parse(refresh_token)
    except RefreshTokenUnknown:
        return None
    # Only live sessions: walking the chain of an ended one would cost time and end nothing.
    session = RefreshToken.objects.live(timezone.now()).filter(pk=presented.session_id).first()
    if session is None or _walk_to_current(session, presented) is None:
        return None
    return session.owner_id if end(session.uuid, reason, client) else None


def _get_live_session(session_id: UUID, client_id: str | None, now: datetime) -> RefreshToken:
    session = RefreshToken.objects.with_owner().filter(pk=session_id).first()
    if session is None or session.application_id != client_id:
        raise RefreshTokenUnknown
    if session.has_ended:
        raise RefreshTokenRevoked
    if session.expires_at <= now:
        raise RefreshTokenExpired
    return session


def _walk_to_current(session: RefreshToken, presented: RefreshSecret) -> RefreshSecret | None:
    """Return the session's current secret if it descends from the presented one.

    Returns None if the presented secret was never issued.
    """
    if presented.generation > session.generation:
        return None
    return refresh_tokens.descendant(presented, generation=session.generation, digest=bytes(session.secret_digest))


def _is_current(session: RefreshToken, presented: RefreshSecret) -> bool:
    return presented.generation == session.generation and hmac.compare_digest(
        presented.digest, bytes(session.secret_digest)
    )


def _next_secret(presented: RefreshSecret) -> RefreshSecret | None:
    """Return the successor of a presented secret, or the secret itself if rotation is off.

    Returns None if the session has reached MAX_GENERATIONS.
    """
    if not auth_settings().refresh_token_rotation:
        return presented
    return refresh_tokens.successor(presented) if presented.generation < MAX_GENERATIONS else None


def _project_claims(presented: RefreshSecret, client_id: str | None, now: datetime) -> dict[str, Any]:
    """Return the claims that the project adds to the access token of a refresh. Without them, no query runs.

    The project's function is called before the row changes. If it fails, the client's refresh token stays current;
    after a rotation, the next attempt would count as reuse once the grace period is over.

    Raises RefreshTokenUnknown, RefreshTokenRevoked, RefreshTokenExpired or ProjectClaimsFault.
    """
    if not auth_settings().claims:
        return {}
    session = _get_live_session(presented.session_id, client_id, now)
    # A secret that is not current does not advance the row, and reuse must be noticed whatever the function does.
    return project_claims.of_session(session) if _is_current(session, presented) else {}


def _advance(
    presented: RefreshSecret, next_secret: RefreshSecret, now: datetime, client_id: str | None
) -> Grant | None:
    """Update the session's row and return its grant, or None if the presented secret or the session is invalid."""
    if next_secret is presented:
        return compare_and_swap.touch(presented, now, client_id)
    expires_at = now + auth_settings().refresh_token_lifetime
    return compare_and_swap.advance(presented, next_secret, now, expires_at=expires_at, client_id=client_id)


def _repeat_or_end_session(
    session: RefreshToken, presented: RefreshSecret, client: Client, now: datetime, audience: Audience
) -> TokenPair:
    """Return the successor again if a spent token is within the grace period, otherwise end its session.

    Raises RefreshTokenReused after ending the session, RefreshTokenUnknown if the token was never issued, and
    RefreshTokenExpired in the last second of the session.
    """
    current = _walk_to_current(session, presented)
    if current is None:
        raise RefreshTokenUnknown
    if current.generation - presented.generation <= 1 and _is_in_grace(session, now):
        if _is_in_last_second(session.expires_at, now):
            raise RefreshTokenExpired
        record(Event.SESSION_REPEATED, client=client, user_id=session.owner_id, session_id=session.uuid)
        return issue_pair(grant_for(session), current, now, audience)
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


def _is_in_last_second(expires_at: datetime, now: datetime) -> bool:
    """Return whether it is too late to issue an access token that is valid until `expires_at`."""
    return expires_at - now < access_tokens.MIN_LIFETIME


def _is_in_grace(session: RefreshToken, now: datetime) -> bool:
    grace = auth_settings().refresh_token_grace
    return session.rotated_at is not None and now < session.rotated_at + grace
