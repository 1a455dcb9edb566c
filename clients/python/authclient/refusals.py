"""The reasons for which a service refuses an access token: code, message, HTTP status and challenge."""

from typing import ClassVar

CHALLENGE = 'Bearer realm="api"'


class Refused(Exception):
    """The base class of all reasons. `code`, `message` and `status` are those of the token service.

    `challenge` is the value of the header `WWW-Authenticate` (RFC 6750 section 3), or None.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    message: str
    challenge: str | None = None

    def __str__(self) -> str:
        return self.message

    @property
    def body(self) -> dict[str, str | int]:
        """The body of the response."""
        return {"message": self.message, "code": self.code}

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the response."""
        return {} if self.challenge is None else {"WWW-Authenticate": self.challenge}


class TokenMissing(Refused):
    """The request has no access token."""

    code = "token_missing"
    status = 401
    message = "No token provided!"
    challenge = CHALLENGE


class TokenInvalid(Refused):
    """The token was not issued for this service, was altered, or is not valid yet."""

    code = "token_invalid"
    status = 401
    message = "Unauthorized!"
    challenge = f'{CHALLENGE}, error="invalid_token", error_description="{message}"'


class TokenExpired(Refused):
    """The token is valid except that it has expired."""

    code = "token_expired"
    status = 401
    message = "Unauthorized! Access Token was expired!"
    challenge = f'{CHALLENGE}, error="invalid_token", error_description="{message}"'


class TokenRevoked(Refused):
    """The token is valid except that its session has ended."""

    code = "token_revoked"
    status = 401
    message = "Unauthorized! Session was revoked!"
    challenge = f'{CHALLENGE}, error="invalid_token", error_description="{message}"'


class RoleRequired(Refused):
    """The user does not have the required role."""

    code = "role_required"
    status = 403

    def __init__(self, role: str) -> None:
        super().__init__(role)
        self.message = f"Require {role.capitalize()} Role!"


class ScopeRequired(Refused):
    """The token does not have the required scope (RFC 6750 section 3.1)."""

    code = "insufficient_scope"
    status = 403

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.message = f"This requires the scope {scope}."
        self.challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'


class RecentAuthenticationRequired(Refused):
    """The user entered the password longer ago than `max_age` seconds (RFC 9470)."""

    code = "recent_authentication_required"
    status = 403

    def __init__(self, max_age: int) -> None:
        super().__init__(max_age)
        self.max_age = max_age
        self.message = (
            f"This requires an authentication within the last {max_age} seconds. Confirm your password first."
        )
        self.challenge = (
            f'{CHALLENGE}, error="insufficient_user_authentication", error_description="{self.message}",'
            f' max_age="{max_age}"'
        )

    @property
    def body(self) -> dict[str, str | int]:
        """The body of the response, with `maxAge` in seconds."""
        return {"message": self.message, "code": self.code, "maxAge": self.max_age}


class SecondFactorRequired(Refused):
    """The user did not present the factors that `level` requires (RFC 9470)."""

    code = "second_factor_required"
    status = 403
    message = "A second factor is required: confirm with your authenticator app, a passkey or a recovery code."

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.level = level
        self.challenge = (
            f'{CHALLENGE}, error="insufficient_user_authentication", error_description="{self.message}",'
            f' acr_values="{level}"'
        )


class IssuerUnavailable(Refused):
    """The issuer is unreachable, and its keys are unknown or too old to be used."""

    code = "unavailable"
    status = 503
    message = "The issuer of access tokens cannot be reached. Try again in a moment."

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the response: after how many seconds the issuer is tried again."""
        return {"Retry-After": "5"}


class EndedSessionsUnavailable(IssuerUnavailable):
    """The store of ended sessions cannot be read, so that the token may be one of an ended session."""

    message = "The service cannot verify access tokens at the moment. Try again in a moment."
