"""Exchange an authorization code for the tokens of a new session (RFC 6749 section 4.1.3, RFC 7636)."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.conf import auth_settings
from accounts.databases import adapt, atomic, columns_of, connection_of
from accounts.errors import TokenExpired
from accounts.factor_errors import SecondFactorRequired
from accounts.history.events import Event, record
from accounts.models import Application, AuthorizationCode, EndReason, RefreshToken, SessionState, User
from accounts.oauth_errors import InvalidGrant
from accounts.sessions import lifecycle, project_claims
from accounts.sessions.lifecycle import TokenPair
from accounts.sso import applications, browser_rows, id_tokens
from accounts.tokens import refresh_tokens
from accounts.tokens.access_tokens import Grant
from accounts.values import base64url
from accounts.values.clients import Client
from accounts.values.digests import digest_of

# Raw SQL, for the reason that `browser_rows` names.
_FIND = f"SELECT {columns_of(AuthorizationCode)} FROM accounts_authorizationcode WHERE digest = %s"  # noqa: S608  column names, not input
_USE_UP = "UPDATE accounts_authorizationcode SET session_id = %s WHERE digest = %s AND session_id IS NULL"

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)  # RFC 7636 section 4.1


@dataclass(frozen=True, slots=True)
class Issued:
    """The tokens of an application's session, their scope, and the ID token."""

    pair: TokenPair
    scope: str
    id_token: str

    def __repr__(self) -> str:
        return "Issued(...)"


class _UsedInTheMeantime(Exception):
    """Another exchange of the code was first."""


def exchange(application: Application, code: str, redirect_uri: str, code_verifier: str, client: Client) -> Issued:
    """Exchange a code for tokens, once. A second use ends the session that the first one opened.

    Raises InvalidGrant if the code is unknown, expired, used, or was issued for another application, redirect URI
    or challenge; or if the browser's sign-in has ended.
    """
    now = timezone.now()
    stored = next(iter(AuthorizationCode.objects.raw(_FIND, [digest_of(code)])), None)
    if stored is None:
        raise InvalidGrant
    if stored.session_id is not None:
        _end_reused(stored, stored.session_id, client)
        raise InvalidGrant
    is_valid = stored.application_id == application.client_id and stored.expires_at > now
    if not is_valid or not _matches(stored, redirect_uri, code_verifier):
        raise InvalidGrant
    try:
        issued = _open_session(stored, now)
    except _UsedInTheMeantime:
        opened = AuthorizationCode.objects.filter(pk=stored.pk).values_list("session_id", flat=True).first()
        if opened is not None:  # the code may have been deleted with its application
            _end_reused(stored, opened, client)
        raise InvalidGrant from None
    except (SecondFactorRequired, TokenExpired, IntegrityError):  # the latter if the application was deleted
        raise InvalidGrant from None
    _require_active(application, issued, client)
    return issued


def _require_active(application: Application, issued: Issued, client: Client) -> None:
    """Check that the application was not deactivated before its session was stored. Otherwise, end that session.

    A deactivation ends the sessions that it finds. It finds this one if it comes after this check.

    Raises InvalidGrant.
    """
    if applications.find(application.client_id) == application:
        return
    lifecycle.end(UUID(issued.pair.access.claims["sid"]), EndReason.REVOKED, client)
    raise InvalidGrant


def _matches(stored: AuthorizationCode, redirect_uri: str, code_verifier: str) -> bool:
    if _VERIFIER.fullmatch(code_verifier) is None:
        return False
    digest = hashlib.sha256(code_verifier.encode()).digest()
    challenge = base64url.encode(digest)
    return constant_time_compare(challenge, stored.code_challenge) and redirect_uri == stored.redirect_uri


def _open_session(stored: AuthorizationCode, now: datetime) -> Issued:
    """Use the code up and store the session, in one transaction, and return its tokens.

    Raises InvalidGrant if the browser's sign-in is not valid any more, SecondFactorRequired, TokenExpired and
    _UsedInTheMeantime. The code is not used up then.
    """
    with atomic(RefreshToken):
        # Whatever ends sessions of the user, or removes a factor, waits for the lock on the user and then finds
        # the session, or was first and is noticed here.
        browser = _lock_browser(stored.browser_id, now)
        session = _new_session(stored, browser, now)
        if not _use_up(stored, session.uuid):
            raise _UsedInTheMeantime
        issued = _issue(session, browser.owner, stored, now)
        session.save(force_insert=True)
    record(
        Event.APPLICATION_SIGNED_IN,
        client=Client(session.address, session.user_agent),
        user_id=session.owner_id,
        session_id=session.uuid,
        application=session.application_id,
    )
    return issued


def _use_up(stored: AuthorizationCode, session_id: UUID) -> bool:
    """Store the session that the code opens, or return False if the code opened another one."""
    connection = connection_of(AuthorizationCode)
    with connection.cursor() as cursor:
        cursor.execute(_USE_UP, [adapt(connection, session_id), stored.pk])
        return bool(cursor.rowcount)


def _lock_browser(session_id: UUID, now: datetime) -> RefreshToken:
    """Return the sign-in of a browser, locked until the transaction ends.

    Raises InvalidGrant if it has ended or expired, and SecondFactorRequired.
    """
    browser = browser_rows.lock(session_id)
    if browser is None or browser.state(now) is not SessionState.LIVE:
        raise InvalidGrant
    lifecycle.require_second_factor(browser.owner, browser.authentication)
    return browser


def _new_session(stored: AuthorizationCode, browser: RefreshToken, now: datetime) -> RefreshToken:
    """Return a session that came of a browser's sign-in, and never outlives it. The address is the browser's."""
    return RefreshToken(
        owner=browser.owner,
        owner_stamp=browser.owner_stamp,
        created_at=now,
        authenticated_at=browser.authenticated_at,
        last_used_at=now,
        session_expires_at=browser.session_expires_at,
        expires_at=min(now + auth_settings().refresh_token_lifetime, browser.session_expires_at),
        remember=browser.remember,
        authentication_methods=browser.authentication_methods,
        second_factor_at=browser.second_factor_at,
        application_id=stored.application_id,
        parent=browser,
        scope=stored.scope,
        address=browser.address,
        user_agent=browser.user_agent,
    )


def _issue(session: RefreshToken, owner: User, stored: AuthorizationCode, now: datetime) -> Issued:
    secret = refresh_tokens.first_generation(session.uuid)
    session.secret_digest = secret.digest
    grant = Grant.from_session(session, owner.role_names, project_claims.of_session(session))
    pair = lifecycle.issue_pair(grant, secret, now, tuple(stored.audience))
    id_token = id_tokens.issue(session, pair.access.text, nonce=stored.nonce, at=now)
    return Issued(pair, session.scope, id_token)


def _end_reused(stored: AuthorizationCode, session_id: UUID, client: Client) -> None:
    owner_id = RefreshToken.objects.filter(pk=session_id).values_list("owner_id", flat=True).first()
    record(
        Event.CODE_REUSED,
        client=client,
        user_id=owner_id,
        session_id=session_id,
        application=stored.application_id,
    )
    lifecycle.end(session_id, EndReason.CODE_REUSED, client)
