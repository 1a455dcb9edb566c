"""The errors about second factors and passkeys, continued from `accounts.errors`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from accounts.errors import AuthError, InvalidCredentials, Kind


class PendingFactor(NamedTuple):
    """What a client needs to present a second factor. `expires_in` is in seconds.

    `factors` are the kinds that the user can present, and `passkey` the options for `navigator.credentials.get`.
    """

    auth_session: str
    expires_in: int
    factors: tuple[str, ...]
    passkey: Mapping[str, Any] | None

    def __repr__(self) -> str:
        return f"PendingFactor(factors={self.factors})"


class InvalidPasskey(InvalidCredentials):
    """The passkey is unknown, or its response is not valid. The reason is not disclosed."""

    message = "The passkey was not accepted."


class SecondFactorRequired(AuthError):
    """A second factor is missing: to complete a sign-in, for a role, or for an action.

    At sign-in, the response has `authSession`, `expiresIn`, `factors` and `passkey`. The `acr_values` of the
    challenge are those of RFC 9470.
    """

    code = "second_factor_required"
    kind = Kind.FORBIDDEN
    message = "A second factor is required: confirm with your authenticator app, a passkey or a recovery code."

    def __init__(self, sign_in: PendingFactor | None = None, *, message: str = "") -> None:
        super().__init__()
        self.sign_in = sign_in
        self.message = message or self.message


class InvalidCode(AuthError):
    """The code, the recovery code or the passkey is wrong, or was used before. The reason is not disclosed."""

    code = "invalid_code"
    kind = Kind.FORBIDDEN
    message = "The code is wrong, or was used before."


class AuthSessionInvalid(AuthError):
    """The sign-in that waits for a second factor is unknown, used or expired, or had too many wrong codes."""

    code = "auth_session_invalid"
    kind = Kind.FORBIDDEN
    message = "This sign-in has expired or was used. Sign in again."
