"""Start, validate and end sessions. Refreshing one is in `rotation`, raising its level in `step_up`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import cast
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from accounts.conf import auth_settings
from accounts.databases import atomic
from accounts.errors import InvalidCredentials, NotFound, TokenRevoked, TokenStale
from accounts.factor_errors import SecondFactorRequired
from accounts.history.events import Event, record, record_session_ends
from accounts.models import EndReason, RefreshToken, RefreshTokenQuerySet, User, split_role_names
from accounts.sessions import project_claims, validity
from accounts.tokens import access_tokens, refresh_tokens
from accounts.tokens.access_tokens import AccessToken, Audience, Grant
from accounts.tokens.claims import AccessClaims
from accounts.tokens.refresh_tokens import RefreshSecret
from accounts.values.authentication import SEVERAL_FACTORS, Authentication
from accounts.values.clients import Client

_BATCH_SIZE = 1000


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access token and a refresh token of one session; `refresh_expires_in` is in seconds."""

    access: AccessToken
    refresh_token: str
    refresh_expires_in: int

    def __repr__(self) -> str:
        return "TokenPair(...)"


def start(  # noqa: PLR0913  the facts of one session
    user: User,
    client: Client,
    authentication: Authentication,
    *,
    audience: str | None = None,
    remember: bool = True,
    end_previous: Callable[[], None] = lambda: None,
) -> TokenPair:
    """Open a session for a user who just authenticated in this way, and issue its tokens.

    The access token is issued for the service `audience`, or for every service of AUTH_AUDIENCE if it is None. A
    session that the client asked not to `remember` ends after AUTH_UNREMEMBERED_SESSION_LIFETIME. `end_previous`
    ends the sessions that this one replaces. It is called after the tokens are issued, which may fail.

    Raises SecondFactorRequired if the user has a second factor and did not present one, InvalidRequest if the
    audience is unknown, ProjectClaimsFault, and InvalidCredentials if the user was deleted, or the second factor
    removed, in the meantime. No session is opened then.
    """
    require_second_factor(user, authentication)
    access_tokens.validate_audience(audience)
    now = timezone.now()
    session = new_session(user, client, authentication, now, remember=remember)
    secret = refresh_tokens.first_generation(session.uuid)
    session.secret_digest = secret.digest
    grant = Grant.from_session(session, user.role_names, project_claims.of_session(session))
    pair = issue_pair(grant, secret, now, audience)
    end_previous()
    store(session, user, client, now)
    return pair


def require_second_factor(user: User, authentication: Authentication) -> None:
    """Raise SecondFactorRequired if the user has a second factor and did not present one.

    Every way to sign in passes here: `start` calls it, and so does the sign-in to the Django admin.
    """
    if authentication.level < SEVERAL_FACTORS and user.has_second_factor:
        raise SecondFactorRequired


def lock_second_factors(user: User) -> bool:
    """Lock the factors of a user until the transaction ends, and return whether there are any.

    A factor that was verified may have been removed since. Removing one lowers the sessions that exist by then, so
    that a session may reach its level only under this lock.
    """
    # The lock does not block other requests of the user, which only refer to the row.
    locked = User.objects.select_for_update(no_key=True).only("pk").filter(pk=user.pk).first()
    return locked is not None and locked.has_second_factor


def new_session(
    user: User, client: Client, authentication: Authentication, now: datetime, *, remember: bool
) -> RefreshToken:
    """Return a session that begins now, without a secret. It is not stored."""
    settings = auth_settings()
    lifetime: timedelta = settings.session_lifetime
    if not remember:
        lifetime = min(lifetime, settings.unremembered_session_lifetime)
    return RefreshToken(
        owner=user,
        owner_stamp=user.security_stamp,
        created_at=now,
        authenticated_at=now,
        last_used_at=now,
        session_expires_at=now + lifetime,
        expires_at=now + min(settings.refresh_token_lifetime, lifetime),
        remember=remember,
        authentication_methods=authentication.joined,
        second_factor_at=now if authentication.level == SEVERAL_FACTORS else None,
        address=client.address,
        user_agent=client.user_agent,
    )


def store(session: RefreshToken, user: User, client: Client, now: datetime) -> None:
    """Store a new session, and record the sign-in.

    Raises InvalidCredentials if the user was deleted, or the second factor removed, in the meantime.
    """
    try:
        ended = _store(session, user, now)
    except IntegrityError:
        # The user was deleted after the password was verified.
        raise InvalidCredentials from None
    if ended:
        validity.forget(user.pk)
        record_session_ends(dict.fromkeys(ended, user.pk), EndReason.LIMIT_REACHED, client, by=None)
    record(Event.SIGN_IN_SUCCEEDED, client=client, user_id=user.pk, session_id=session.uuid)


def _store(session: RefreshToken, user: User, now: datetime) -> list[UUID]:
    """Insert a session, end the user's oldest ones beyond AUTH_MAX_SESSIONS, and return the ids of those.

    Raises InvalidCredentials if the second factor was removed after it was verified.
    """
    limit, is_by_factor = auth_settings().max_sessions, session.authentication.level == SEVERAL_FACTORS
    if not limit and not is_by_factor:
        session.save(force_insert=True)
        return []
    with atomic(RefreshToken):
        # Of simultaneous sign-ins, each must count the sessions of the ones before. SQLite has one writer anyway.
        if not lock_second_factors(user) and is_by_factor:
            raise InvalidCredentials
        # The new session stays, even if a machine whose clock is ahead has started a session before.
        counted = live_sessions(user).filter(parent=None)  # not what came of the sign-in of a browser
        ended = list(counted.values_list("pk", flat=True)[limit - 1 :]) if limit else []
        RefreshToken.objects.filter(pk__in=ended).end(EndReason.LIMIT_REACHED, at=now)
        session.save(force_insert=True)
    return ended


def check(claims: AccessClaims) -> User:
    """Return the user of a verified access token whose session is still valid.

    Validation takes one query, or none if the result is cached (see AUTH_REVOCATION_LAG). The user is a lazy
    object that is loaded on first access; loading raises TokenRevoked if the user was deleted in between.

    Raises TokenRevoked if the session has ended or expired or its owner is inactive, and TokenStale if the owner's
    roles or password changed after the token was issued.
    """
    current = validity.look_up(claims.session_id, timezone.now())
    if current is None or current.owner_id != claims.user_id:
        raise TokenRevoked
    if current.token_version != claims.token_version:
        raise TokenStale
    return cast("User", SimpleLazyObject(partial(_load_owner, claims.user_id)))


def with_roles(claims: AccessClaims, user: User) -> AccessClaims:
    """Return the claims, with the user's roles from the database if the token had no room for them."""
    if not claims.roles_omitted:
        return claims
    return replace(claims, roles=access_tokens.roles_at(claims.level, user.role_names))


def live_sessions(user: User) -> RefreshTokenQuerySet:
    """Return the sessions of a user that can still be refreshed, newest first."""
    sessions = RefreshToken.objects.live(timezone.now())
    return sessions.filter(owner=user, owner_stamp=user.security_stamp).order_by("-pk")


def survive_password_change(session_id: UUID, stamp: int) -> None:
    """Keep a session that has not ended valid across a password change: store the owner's new stamp in it."""
    RefreshToken.objects.filter(pk=session_id, ended_at=None).update(owner_stamp=stamp)


def end(session_id: UUID, reason: EndReason, client: Client, *, by: int | None = None) -> bool:
    """End one session and return True, or return False if it had already ended or does not exist.

    `by` is the id of the administrator who ends it.
    """
    sessions = RefreshToken.objects.filter(pk=session_id)
    if not sessions.end(reason, at=timezone.now()):
        return False
    owner_id = sessions.values_list("owner_id", flat=True).first()
    if owner_id is not None:
        validity.forget(owner_id)
    record(Event.SESSION_ENDED, client=client, user_id=owner_id, session_id=session_id, reason=reason, by=by)
    return True


def end_own(user_id: int, session_id: UUID, client: Client) -> None:
    """End a session on behalf of its owner. A session that has already ended is not changed.

    Raises NotFound if the session does not exist or belongs to another user.
    """
    if not RefreshToken.objects.filter(pk=session_id, owner_id=user_id).exists():
        raise NotFound
    end(session_id, EndReason.ENDED_BY_OWNER, client)


def end_others(user_id: int, session_id: UUID, reason: EndReason, client: Client) -> int:
    """End every session of a user except `session_id`, and return how many were ended."""
    return _end_sessions_of(user_id, reason, client, surviving=session_id)


def end_all(user_id: int, reason: EndReason, client: Client, *, by: int | None = None) -> int:
    """End every session of a user in one statement, and return how many were ended.

    `by` is the id of the administrator who ends them.
    """
    return _end_sessions_of(user_id, reason, client, by=by)


def end_many(
    selected: RefreshTokenQuerySet,
    reason: EndReason,
    client: Client,
    *,
    by: int | None = None,
    surviving: UUID | None = None,
) -> int:
    """End the selected sessions except `surviving` in batches, and return how many were ended.

    `by` is the id of the administrator who ends them.
    """
    count, last_id = 0, UUID(int=0)
    not_ended = selected.filter(ended_at=None).other_than(surviving).order_by("pk")
    # Each batch continues after the last id of the previous one. Otherwise it would read all ended rows again.
    while batch := dict(not_ended.filter(pk__gt=last_id).values_list("pk", "owner_id")[:_BATCH_SIZE]):
        last_id = max(batch)
        RefreshToken.objects.filter(pk__in=batch).end(reason, at=timezone.now(), surviving=surviving)
        for owner_id in set(batch.values()):
            validity.forget(owner_id)
        record_session_ends(batch, reason, client, by=by)
        count += len(batch)
    return count


def _end_sessions_of(
    user_id: int, reason: EndReason, client: Client, *, by: int | None = None, surviving: UUID | None = None
) -> int:
    sessions = RefreshToken.objects.filter(owner_id=user_id)
    count = sessions.end(reason, at=timezone.now(), surviving=surviving)
    validity.forget(user_id)
    record(Event.SESSIONS_ENDED, client=client, user_id=user_id, reason=reason, count=count, by=by)
    return count


def _load_owner(user_id: int) -> User:
    owner = User.objects.get_queryset().filter(pk=user_id).first()
    if owner is None:
        raise TokenRevoked  # deleted after the session was validated
    return owner


def grant_for(session: RefreshToken) -> Grant:
    """Return the grant of a session that was fetched with `with_owner()`, with the claims that the project adds.

    Raises ProjectClaimsFault.
    """
    roles = split_role_names(getattr(session, "fetched_role_names", None))
    return Grant.from_session(session, roles, project_claims.of_session(session))


def issue_pair(grant: Grant, secret: RefreshSecret, now: datetime, audience: Audience) -> TokenPair:
    """Issue an access token and encode `secret` as the refresh token that belongs to it.

    The access token is for the services `audience`, or for every service of AUTH_AUDIENCE if it is None.

    Raises TokenExpired in the last second of the session.
    """
    access = access_tokens.issue(grant, at=now, audience=audience)
    remaining: timedelta = grant.expires_at - now
    return TokenPair(access, refresh_tokens.encode(secret), int(remaining.total_seconds()))
