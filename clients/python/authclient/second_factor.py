"""The second step of a sign-in to an account with a second factor."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from authclient.errors import AuthError

Answer = Mapping[str, Any]
"""What the user presents: `{"code": …}`, `{"recoveryCode": …}` or `{"passkey": …}`."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a sign-in requires after the correct password.

    `factors` are those that the user has: `totp`, `passkey`, `recovery_code`. The challenge can be answered for
    `expires_in` seconds. `passkey` has the options for a WebAuthn client (PublicKeyCredentialRequestOptionsJSON).
    """

    auth_session: str = field(repr=False)
    expires_in: float
    factors: tuple[str, ...]
    passkey: Mapping[str, Any] | None = field(default=None, repr=False)


AskForFactor = Callable[[Challenge], Answer]


class SecondFactorRequired(AuthError):
    """The account has a second factor: `Auth.complete_sign_in` answers the `challenge`."""

    def __init__(self, message: str, challenge: Challenge, *, status: int | None = None) -> None:
        super().__init__("second_factor_required", message, status=status)
        self.challenge = challenge


def parse_challenge(body: Mapping[str, Any]) -> Challenge | None:
    """Return the challenge in an error response, or None if there is none."""
    auth_session, factors = body.get("authSession"), body.get("factors")
    expires_in, passkey = body.get("expiresIn"), body.get("passkey")
    if body.get("code") != "second_factor_required" or not isinstance(auth_session, str):
        return None
    if not isinstance(expires_in, int | float) or not isinstance(factors, list):
        return None
    return Challenge(
        auth_session,
        expires_in,
        tuple(name for name in factors if isinstance(name, str)),
        passkey if isinstance(passkey, dict) else None,
    )
