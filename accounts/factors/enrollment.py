"""Add second factors to a user, and renew the recovery codes.

Each change is recorded, and the owner is notified by email. The functions take the session in which the user is
signed in: adding a first factor needs a recent authentication, and every further change a factor that was
presented recently, so that a stolen session and password are not enough.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone

from accounts.conf import auth_settings
from accounts.databases import atomic
from accounts.errors import InvalidRequest, NotFound
from accounts.factor_errors import InvalidCode, SecondFactorRequired
from accounts.factors import listing, passkeys, recovery_codes, totp, verification
from accounts.factors.listing import Factor
from accounts.factors.passkeys import PasskeyRefused
from accounts.factors.totp import Provisioning
from accounts.history.events import Event, record
from accounts.models import Authenticator, EndReason, Passkey, RefreshToken, User
from accounts.sessions import lifecycle, step_up
from accounts.values.authentication import BY_CODE, SEVERAL_FACTORS_METHOD, Authentication
from accounts.values.clients import Client

MAX_FACTORS_PER_KIND = 10

STAFF = "staff"
"""The name of the Django admin in AUTH_SECOND_FACTOR_ROLES."""


class Enrolled(NamedTuple):
    """A factor that was added. `recovery_codes` is empty unless it is the user's first one."""

    factor: Factor
    recovery_codes: Sequence[str]

    def __repr__(self) -> str:
        return f"Enrolled(factor={self.factor})"


def require_recent_factor(user: User, session_id: UUID) -> None:
    """Raise SecondFactorRequired if the user has a factor and did not present one recently in this session."""
    if user.has_second_factor and not step_up.has_recent_second_factor(session_id):
        raise SecondFactorRequired(
            message="Confirm with your authenticator app, a passkey or a recovery code first."
        )


def begin_authenticator(user: User, name: str, session_id: UUID) -> tuple[UUID, Provisioning]:
    """Store an unconfirmed authenticator app; return its id and what the app needs. An earlier one is replaced.

    Raises SecondFactorRequired, and InvalidRequest if the user has MAX_FACTORS_PER_KIND.
    """
    require_recent_factor(user, session_id)
    _refuse_too_many(Authenticator.objects.confirmed().filter(owner=user).count())
    authenticator, secret = Authenticator(owner=user, name=name, created_at=timezone.now()), totp.new_secret()
    totp.store_secret(authenticator, secret)
    with atomic(Authenticator):
        Authenticator.objects.filter(owner=user, confirmed_at=None).delete()
        authenticator.save(force_insert=True)
    return authenticator.pk, totp.provisioning(secret, user)


def confirm_authenticator(
    user: User, authenticator_id: UUID, code: str, session_id: UUID, client: Client
) -> Enrolled:
    """Confirm an authenticator app with its first code, which makes it a factor.

    Raises NotFound if there is no unconfirmed authenticator with the id, SecondFactorRequired, InvalidCode or
    Throttled.
    """
    require_recent_factor(user, session_id)
    now = timezone.now()
    unconfirmed = Authenticator.objects.filter(pk=authenticator_id, owner=user, confirmed_at=None)
    authenticator = unconfirmed.first()
    if authenticator is None:
        raise NotFound
    attempt = verification.count_attempt(user, client)
    if not totp.use_code(authenticator, code, now):
        record(Event.FACTOR_FAILED, client=client, user_id=user.pk, session_id=session_id)
        raise InvalidCode
    attempt.uncount()
    with atomic(User):
        is_first = _lock_and_check_first(user, session_id)
        if not unconfirmed.update(confirmed_at=now):
            raise NotFound
        return _enrolled(authenticator, user, BY_CODE, session_id, client, is_first=is_first)


def begin_passkey(user: User, session_id: UUID) -> dict[str, Any]:
    """Return the options to register a passkey in this session: PublicKeyCredentialCreationOptionsJSON.

    Raises SecondFactorRequired, and InvalidRequest if the user has MAX_FACTORS_PER_KIND.
    """
    require_recent_factor(user, session_id)
    _refuse_too_many(Passkey.objects.filter(owner=user).count())
    return passkeys.creation_options(user, _registration(session_id), timezone.now())


def add_passkey(user: User, name: str, response: Mapping[str, Any], session_id: UUID, client: Client) -> Enrolled:
    """Verify the RegistrationResponseJSON of a browser, and store the passkey.

    Raises SecondFactorRequired, and InvalidRequest if the response is refused or the passkey is stored already.
    """
    require_recent_factor(user, session_id)
    _refuse_too_many(Passkey.objects.filter(owner=user).count())
    try:
        passkey = passkeys.register(user, name, response, _registration(session_id), timezone.now())
    except PasskeyRefused as refusal:
        record(Event.FACTOR_FAILED, client=client, user_id=user.pk, session_id=session_id, reason=refusal.reason)
        raise InvalidRequest(errors={"credential": ["The passkey was not accepted. Try again."]}) from None
    try:
        with atomic(User):
            is_first = _lock_and_check_first(user, session_id)
            passkey.save(force_insert=True)
            authentication = passkeys.authentication_by(passkey)
            return _enrolled(passkey, user, authentication, session_id, client, is_first=is_first)
    except IntegrityError:
        raise InvalidRequest(errors={"credential": ["This passkey is registered already."]}) from None


def renew_recovery_codes(user: User, session_id: UUID, client: Client) -> list[str]:
    """Replace the recovery codes of a user with a second factor, and return the new ones.

    Raises SecondFactorRequired, also if the user has no second factor.
    """
    require_recent_factor(user, session_id)
    if not user.has_second_factor:
        raise SecondFactorRequired(message="Add an authenticator app or a passkey first.")
    codes = recovery_codes.renew(user)
    record(Event.RECOVERY_CODES_RENEWED, client=client, user_id=user.pk, session_id=session_id)
    return codes


def _registration(session_id: UUID) -> str:
    return f"register {session_id}"


def _lock_and_check_first(user: User, session_id: UUID) -> bool:
    """Lock the factors of the user until the transaction ends, and return whether there are none.

    Raises SecondFactorRequired if a first one was added in another session since the request was checked.
    """
    has_factor = lifecycle.lock_second_factors(user)
    require_recent_factor(user, session_id)
    return not has_factor


def _refuse_too_many(count: int) -> None:
    if count >= MAX_FACTORS_PER_KIND:
        raise InvalidRequest(
            f"You have {MAX_FACTORS_PER_KIND} of this kind, which is the maximum. Remove one first."
        )


def _enrolled(  # noqa: PLR0913  the facts of one enrollment
    factor: Authenticator | Passkey,
    user: User,
    authentication: Authentication,
    session_id: UUID,
    client: Client,
    *,
    is_first: bool,
) -> Enrolled:
    codes = recovery_codes.renew(user) if is_first else []
    step_up.present_second_factor(session_id, user, authentication)
    described = listing.describe(factor)
    record(
        Event.FACTOR_ADDED,
        client=client,
        user_id=user.pk,
        session_id=session_id,
        kind=described.type,
        factor=str(described.id),
    )
    if _needs_second_factor(user):
        _end_sessions_without_factor(user, session_id, client)
    return Enrolled(described, codes)


def _needs_second_factor(user: User) -> bool:
    names = {*user.role_names, STAFF} if user.is_staff else set(user.role_names)
    return not names.isdisjoint(auth_settings().second_factor_roles)


def _end_sessions_without_factor(user: User, session_id: UUID, client: Client) -> None:
    sessions = RefreshToken.objects.filter(owner=user)
    below = sessions.exclude(authentication_methods__endswith=SEVERAL_FACTORS_METHOD)
    lifecycle.end_many(below, EndReason.SECOND_FACTOR_ADDED, client, surviving=session_id)
