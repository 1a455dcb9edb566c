"""The sign-in of a browser at the hosted pages: a session without tokens, whose secret is in a cookie.

The secret has 256 random bits and is renewed at each sign-in. The row stores a digest that differs from the one
of a refresh token with the same secret, so that the cookie is never accepted as a refresh token, or the reverse.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Value
from django.db.models.functions import Least
from django.utils import timezone

from accounts.databases import atomic
from accounts.errors import InvalidCredentials
from accounts.history.events import Event, record
from accounts.models import EndReason, RefreshToken, RefreshTokenQuerySet, SessionKind
from accounts.sessions import lifecycle
from accounts.sso import browser_rows
from accounts.users.sign_in import Authenticated
from accounts.values.authentication import SEVERAL_FACTORS
from accounts.values.clients import Client

PREFIX = "authsso_"
"""A fixed prefix, so that secret scanners recognize a leaked cookie."""

_SECRET_LENGTH = 32
_TEXT_LENGTH = len(PREFIX) + (16 + _SECRET_LENGTH) * 4 // 3  # 48 bytes are base64 without unused bits
_RENEWED_COLUMNS = (
    "authenticated_at",
    "authentication_methods",
    "second_factor_at",
    "last_used_at",
    "expires_at",
    "session_expires_at",
    "remember",
    "secret_digest",
    "address",
    "user_agent",
)


@dataclass(frozen=True, slots=True)
class BrowserSignIn:
    """A valid sign-in of a browser: its session, which was fetched with its owner."""

    session: RefreshToken


def start(
    authenticated: Authenticated, client: Client, *, previous: BrowserSignIn | None
) -> tuple[BrowserSignIn, str]:
    """Store the sign-in of a user in a browser, and return it with the value of its cookie, which is always new.

    `previous` is the one that the browser had, and may have expired. If it is the same user's, the sessions of
    applications that came of it stay: its row is updated or, if it has expired, replaced as their parent. If it is
    another user's, it is ended with them.

    Raises SecondFactorRequired if the user has a second factor and did not present one, and InvalidCredentials if
    the user was deleted, or the second factor removed, in the meantime.
    """
    user, now = authenticated.user, timezone.now()
    lifecycle.require_second_factor(user, authenticated.authentication)
    remember = authenticated.options.remember
    session = lifecycle.new_session(user, client, authenticated.authentication, now, remember=remember)
    secret = secrets.token_bytes(_SECRET_LENGTH)
    session.kind, session.secret_digest = SessionKind.BROWSER, _digest(secret)
    if previous is not None and previous.session.owner_id == user.pk and _renew(previous, session, now):
        session.uuid, session.created_at = previous.session.uuid, previous.session.created_at
        record(Event.SIGN_IN_SUCCEEDED, client=client, user_id=user.pk, session_id=session.uuid)
    else:
        lifecycle.store(session, user, client, now)
        if previous is not None:
            _replace(previous, session, client)
    if previous is not None and previous.session.session_expires_at > session.session_expires_at:
        _shorten_what_came_of(session)
    return BrowserSignIn(session), _encode(session.uuid, secret)


def find(cookie_value: str) -> BrowserSignIn | None:
    """Return the sign-in of a cookie, or None if it is malformed, unknown, ended or expired.

    It has also ended if its owner is inactive or has changed their password. Takes two queries.
    """
    found = _find(cookie_value)
    return found if found is not None and found.session.expires_at > timezone.now() else None


def find_with_expired(cookie_value: str) -> BrowserSignIn | None:
    """Return the sign-in of a cookie as `find` does, also if it expired while applications refresh their sessions.

    It must not be relied on as a sign-in. It ends, or is replaced, so that these sessions do not stay behind.
    """
    found = _find(cookie_value)
    if found is None or found.session.expires_at > timezone.now() or _came_of(found).exists():
        return found
    return None


def end(browser: BrowserSignIn, client: Client, reason: EndReason = EndReason.SIGNED_OUT) -> None:
    """End the sign-in of a browser, and every session of an application that came of it."""
    lifecycle.end(browser.session.uuid, reason, client)


def _renew(previous: BrowserSignIn, renewed: RefreshToken, now: datetime) -> bool:
    """Give the row of a sign-in the facts and the secret of another one, and return False if it has changed since.

    Raises InvalidCredentials if the second factor was removed after it was verified.
    """
    unchanged = RefreshToken.objects.live(now).filter(
        pk=previous.session.pk,
        secret_digest=bytes(previous.session.secret_digest),
        owner_stamp=renewed.owner_stamp,
    )
    with atomic(RefreshToken):
        is_by_factor = renewed.authentication.level == SEVERAL_FACTORS
        if is_by_factor and not lifecycle.lock_second_factors(renewed.owner):
            raise InvalidCredentials
        return bool(unchanged.update(**{name: getattr(renewed, name) for name in _RENEWED_COLUMNS}))


def _replace(previous: BrowserSignIn, session: RefreshToken, client: Client) -> None:
    """Move the sessions of applications to the new sign-in of the same user, or end them with another user's.

    Without a new parent, the sessions of a sign-in that expired would survive a sign-out of the browser.
    """
    if previous.session.owner_id == session.owner_id:
        _came_of(previous).update(parent=session)
    end(previous, client)


def _shorten_what_came_of(session: RefreshToken) -> None:
    """Let no session of an application outlive a sign-in that is not remembered, although the one before was."""
    latest = session.session_expires_at
    longer = RefreshToken.objects.filter(parent=session.pk, session_expires_at__gt=latest)
    longer.update(session_expires_at=latest, expires_at=Least("expires_at", Value(latest)))


def _came_of(browser: BrowserSignIn) -> RefreshTokenQuerySet:
    return RefreshToken.objects.live(timezone.now()).filter(parent=browser.session.pk)


def _find(cookie_value: str) -> BrowserSignIn | None:
    """Return the sign-in of a cookie that has not ended, but may have expired."""
    decoded = _decode(cookie_value)
    if decoded is None:
        return None
    session_id, secret = decoded
    session = browser_rows.find(session_id)
    if session is None or not hmac.compare_digest(_digest(secret), bytes(session.secret_digest)):
        return None
    return None if session.has_ended else BrowserSignIn(session)


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(b"accounts.sso.browser_sign_ins\0" + secret).digest()


def _encode(session_id: UUID, secret: bytes) -> str:
    return PREFIX + urlsafe_b64encode(session_id.bytes + secret).decode()


def _decode(cookie_value: str) -> tuple[UUID, bytes] | None:
    if len(cookie_value) != _TEXT_LENGTH or not cookie_value.isascii() or not cookie_value.startswith(PREFIX):
        return None
    try:
        decoded = urlsafe_b64decode(cookie_value.removeprefix(PREFIX))
    except ValueError:
        return None
    if len(decoded) != 16 + _SECRET_LENGTH:
        return None
    return UUID(bytes=decoded[:16]), decoded[16:]
