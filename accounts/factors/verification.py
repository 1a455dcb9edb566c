"""Verify the second factor that a user presents: a code, a recovery code or a passkey."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self
from uuid import UUID

from django.utils import timezone

from accounts.errors import Throttled
from accounts.factor_errors import InvalidCode
from accounts.factors import passkeys, recovery_codes, totp
from accounts.factors.passkeys import PasskeyRefused
from accounts.history.events import Event, record
from accounts.limits import attempts
from accounts.limits.attempts import CountedAttempt
from accounts.models import Authenticator, User
from accounts.tokens import strict_json
from accounts.values.authentication import BY_CODE, Authentication
from accounts.values.clients import Client

_CODE_LENGTH = 6  # digits; longer input is a recovery code


class PresentedFactor(NamedTuple):
    """What a user presents as a second factor: exactly one of the three.

    `passkey` is the AuthenticationResponseJSON of WebAuthn Level 3.
    """

    code: str | None = None
    recovery_code: str | None = None
    passkey: Mapping[str, Any] | None = None

    @classmethod
    def from_form(cls, code: str, passkey: str) -> Self:
        """Return what a form presents, with one field for both kinds of code and one for the JSON of a passkey."""
        if passkey:
            return cls(passkey=parse_passkey(passkey))
        typed = code.strip()
        is_code = len(typed.replace(" ", "")) <= _CODE_LENGTH
        return cls(code=typed) if is_code else cls(recovery_code=typed)


def parse_passkey(text: str) -> dict[str, Any]:
    """Return the passkey in the field of a form, or an empty dictionary, which is refused, if it is malformed."""
    try:
        parsed = strict_json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    return parsed if isinstance(parsed, dict) else {}


def kinds(user: User) -> tuple[str, ...]:
    """Return the kinds of factor that a user with a second factor can present, as the API names them."""
    available = {"totp": user.has_authenticator, "passkey": user.has_passkey}
    available["recovery_code"] = recovery_codes.count(user) > 0
    return tuple(kind for kind, is_available in available.items() if is_available)


def verify(
    user: User, presented: PresentedFactor, client: Client, *, binding: str, session_id: UUID | None = None
) -> Authentication:
    """Verify a second factor of the user, mark it as used, and return the authentication that it is.

    `user` says whether the network is known (`credentials.find`).

    A wrong one counts against the account and the network like a wrong password. `binding` is that of the
    challenge for a passkey. `session_id` is the session in which the user is signed in, if any.

    Raises InvalidCode, and Throttled, before anything is compared, if a limit is reached.
    """
    # Passkeys and recovery codes cannot be guessed, so that they work even if guesses have used up CODE_LIMIT.
    count = attempts.count_sign_in if presented.code is None else attempts.count_code
    attempt = count_attempt(user, client, count)
    try:
        authentication = _verify(user, presented, binding, client)
    except PasskeyRefused as refusal:
        report_refusal(refusal, client)
        authentication = None
    if authentication is None:
        record(Event.FACTOR_FAILED, client=client, user_id=user.pk, session_id=session_id)
        raise InvalidCode
    attempt.uncount()
    return authentication


def count_attempt(
    user: User, client: Client, count: Callable[..., CountedAttempt] = attempts.count_sign_in
) -> CountedAttempt:
    """Count an attempt to guess a code of the user with `count`: at least on the same counters as wrong passwords.

    Raises Throttled.
    """
    try:
        return count(client, str(user.pk), is_known_network=user.knows_network)
    except Throttled:
        record(Event.SIGN_IN_LOCKED_OUT, client=client, user_id=user.pk)
        raise


def report_refusal(refusal: PasskeyRefused, client: Client) -> None:
    """Notify the owner of a passkey whose counter did not increase: it may have been copied."""
    if refusal.reason == passkeys.COUNTER and refusal.passkey is not None:
        copied = refusal.passkey
        record(Event.PASSKEY_COPIED, client=client, user_id=copied.owner_id, factor=str(copied.pk))


def _verify(user: User, presented: PresentedFactor, binding: str, client: Client) -> Authentication | None:
    now = timezone.now()
    if presented.passkey is not None:
        return passkeys.authenticate(presented.passkey, user, binding, now).authentication
    if presented.recovery_code is not None:
        if not recovery_codes.use(user, presented.recovery_code):
            return None
        record(Event.RECOVERY_CODE_USED, client=client, user_id=user.pk, left=recovery_codes.count(user))
        return BY_CODE
    code = presented.code or ""
    # Each is tried, so that the time does not depend on which one matches.
    matches = [totp.use_code(authenticator, code, now) for authenticator in _authenticators(user)]
    return BY_CODE if any(matches) else None


def _authenticators(user: User) -> list[Authenticator]:
    return list(Authenticator.objects.confirmed().filter(owner=user))
