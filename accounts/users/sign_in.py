"""Sign in: with a password, then a second factor if the user has one, or with a passkey alone.

A sign-in that waits for a second factor is a row, an *authSession*. It opens no session, and is good for a few
minutes, a few attempts, and one success.
"""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.conf import auth_settings
from accounts.errors import EmailUnverified
from accounts.factor_errors import AuthSessionInvalid, InvalidPasskey, PendingFactor, SecondFactorRequired
from accounts.factors import passkeys, verification
from accounts.factors.passkeys import PasskeyRefused
from accounts.factors.verification import PresentedFactor
from accounts.history.events import Event, record
from accounts.limits import attempts
from accounts.models import PendingSignIn, User
from accounts.sessions import lifecycle
from accounts.tokens import access_tokens
from accounts.users import credentials
from accounts.values.authentication import BY_PASSWORD, Authentication
from accounts.values.clients import Client
from accounts.values.digests import digest_of

AUTH_SESSION_PREFIX = "authsess_"
"""A fixed prefix, so that secret scanners recognize a leaked value."""

AUTH_SESSION_LIFETIME = timedelta(minutes=5)
MAX_ATTEMPTS = 10
"""Attempts to present a second factor in one sign-in."""

_PASSKEY_SIGN_IN = "sign in"


@dataclass(frozen=True, slots=True)
class SignInOptions:
    """What a client asks for at a sign-in. It is stored while the sign-in waits for a second factor."""

    audience: str | None = None
    remember: bool = True
    use_cookies: bool = False


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A user who has presented all that the account requires, how they did, and what the client asked for."""

    user: User
    authentication: Authentication
    options: SignInOptions


def with_password(identifier: str, password: str, client: Client, options: SignInOptions) -> Authenticated:
    """Verify a password, and return the user if the account has no second factor.

    Raises SecondFactorRequired, with a new authSession, if it has one; InvalidRequest if the audience is unknown;
    and the errors of `credentials.authenticate`.
    """
    user = credentials.authenticate(identifier, password, client)
    access_tokens.validate_audience(options.audience)  # not only once a code is used up
    try:
        lifecycle.require_second_factor(user, BY_PASSWORD)
    except SecondFactorRequired:
        record(Event.SECOND_FACTOR_REQUESTED, client=client, user_id=user.pk)
        raise SecondFactorRequired(_open(user, options)) from None
    credentials.remember_sign_in(user, client)
    return Authenticated(user, BY_PASSWORD, options)


def ask_second_factor(user: User, options: SignInOptions) -> PendingFactor:
    """Return a new authSession for a user whose password was verified before, in a sign-in that is still valid.

    Completing it with `with_second_factor` counts as a password and a second factor.
    """
    return _open(user, options)


def find_pending(auth_session: str) -> PendingSignIn:
    """Return the sign-in of an authSession, whatever its state.

    Raises AuthSessionInvalid if there is none.
    """
    pending = PendingSignIn.objects.select_related("owner").filter(pk=digest_of(auth_session)).first()
    if pending is None:
        raise AuthSessionInvalid
    return pending


def with_second_factor(pending: PendingSignIn, presented: PresentedFactor, client: Client) -> Authenticated:
    """Verify the second factor of a sign-in whose password was right.

    Raises AuthSessionInvalid if the sign-in has expired or was used, if it had MAX_ATTEMPTS wrong factors, or if
    the password has changed; InvalidCode; or Throttled.
    """
    user = credentials.find(pending.owner_id, client)
    if user is None or not user.is_active or pending.owner_stamp != user.security_stamp:
        raise AuthSessionInvalid
    if not PendingSignIn.objects.count_attempt(pending.pk, max_attempts=MAX_ATTEMPTS, now=timezone.now()):
        raise AuthSessionInvalid
    factor = verification.verify(user, presented, client, binding=_binding(pending.pk))
    # Of simultaneous successes, one deletes the row.
    deleted, _ = PendingSignIn.objects.filter(pk=pending.pk).delete()
    if not deleted:
        raise AuthSessionInvalid
    credentials.remember_sign_in(user, client)
    return Authenticated(user, BY_PASSWORD.with_second_factor(factor), options_of(pending))


def renewed(pending: PendingSignIn, auth_session: str) -> PendingFactor:
    """Return what a client needs to present a factor once more, after a wrong one.

    `auth_session` is that of the pending sign-in.
    """
    remaining = pending.expires_at - timezone.now()
    return _pending_factor(pending.owner, auth_session, pending.pk, int(remaining.total_seconds()))


def options_of(pending: PendingSignIn) -> SignInOptions:
    """Return what the client asked for in the first step."""
    return SignInOptions(**pending.options)


def passkey_options_for(pending: PendingSignIn) -> dict[str, Any]:
    """Return new options to present a passkey in this sign-in: PublicKeyCredentialRequestOptionsJSON."""
    return passkeys.request_options(pending.owner, _binding(pending.pk), timezone.now())


def passkey_options() -> dict[str, Any]:
    """Return the options to sign in with a passkey alone: PublicKeyCredentialRequestOptionsJSON."""
    return passkeys.request_options(None, _PASSKEY_SIGN_IN, timezone.now())


def with_passkey(response: Mapping[str, Any], client: Client, options: SignInOptions) -> Authenticated:
    """Verify a passkey, which counts as two factors, and return its owner.

    Raises InvalidPasskey, EmailUnverified or Throttled.
    """
    attempt = attempts.count_for_address(client)
    try:
        assertion = passkeys.authenticate(response, None, _PASSKEY_SIGN_IN, timezone.now())
    except PasskeyRefused as refusal:
        verification.report_refusal(refusal, client)
        owner_id = refusal.passkey.owner_id if refusal.passkey else None
        record(Event.SIGN_IN_FAILED, client=client, user_id=owner_id, reason=refusal.reason)
        raise InvalidPasskey from None
    user = credentials.find(assertion.passkey.owner_id, client)
    if user is None or not user.is_active:
        record(Event.SIGN_IN_FAILED, client=client, user_id=assertion.passkey.owner_id)
        raise InvalidPasskey
    if not user.is_email_verified and not auth_settings().unverified_signin:
        raise EmailUnverified
    attempt.uncount()
    credentials.remember_sign_in(user, client)
    return Authenticated(user, assertion.authentication, options)


def _open(user: User, options: SignInOptions) -> PendingFactor:
    auth_session = AUTH_SESSION_PREFIX + secrets.token_urlsafe(32)
    digest, now = digest_of(auth_session), timezone.now()
    PendingSignIn.objects.create(
        digest=digest,
        owner=user,
        owner_stamp=user.security_stamp,
        expires_at=now + AUTH_SESSION_LIFETIME,
        options=asdict(options),
    )
    return _pending_factor(user, auth_session, digest, int(AUTH_SESSION_LIFETIME.total_seconds()))


def _pending_factor(user: User, auth_session: str, digest: str, expires_in: int) -> PendingFactor:
    has_passkey = user.has_passkey
    return PendingFactor(
        auth_session=auth_session,
        expires_in=expires_in,
        factors=verification.kinds(user),
        passkey=passkeys.request_options(user, _binding(digest), timezone.now()) if has_passkey else None,
    )


def _binding(digest: str) -> str:
    return f"second factor {digest}"
