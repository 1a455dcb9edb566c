"""The errors with which this service refuses a request: their code, kind and message.

The docstrings of the classes are published: `make docs` copies them to docs/http.md.
"""

from collections.abc import Mapping
from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """The kind of an error. `api.errors` maps each kind to one HTTP status."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"
    CONFLICT = "conflict"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"


class AuthError(Exception):
    """The base class of all errors. Subclasses declare `code`, `kind` and `message`."""

    code: ClassVar[str]
    kind: ClassVar[Kind]
    message: str

    def __str__(self) -> str:
        return self.message


class InvalidRequest(AuthError):
    """The request is not valid. `errors` lists the reasons for each field."""

    code = "invalid_request"
    kind = Kind.INVALID
    message = "The request is not valid."

    def __init__(self, message: str = "", errors: Mapping[str, list[str]] | None = None) -> None:
        super().__init__()
        self.errors = dict(errors or {})
        if message or self.errors:
            self.message = message or " ".join(f"{name}: {texts[0]}" for name, texts in self.errors.items())


class MailTokenInvalid(InvalidRequest):
    """An emailed token is invalid, has expired or was already used. The reason is not disclosed."""

    def __init__(self) -> None:
        super().__init__(
            errors={"token": ["This link is invalid, has expired or was already used. Request a new one."]}
        )


class UsernameTaken(AuthError):
    """Another account has this username, or one that differs only in case or Unicode form."""

    code = "username_taken"
    kind = Kind.INVALID
    message = "Failed! Username is already in use!"


class EmailTaken(AuthError):
    """Another account has this email address, or another spelling of it in case, Unicode form or domain."""

    code = "email_taken"
    kind = Kind.INVALID
    message = "Failed! Email is already in use!"


class SignUpClosed(AuthError):
    """Sign-up is closed (see AUTH_SIGNUP)."""

    code = "signup_closed"
    kind = Kind.FORBIDDEN
    message = "Sign-up is closed. Ask an administrator for an account."


class InvitationInvalid(AuthError):
    """The invitation is unknown, expired, revoked or used, or it is missing where AUTH_SIGNUP requires one."""

    code = "invitation_invalid"
    kind = Kind.FORBIDDEN
    message = "Sign-up requires an invitation that is valid and has not been used. Ask for a new one."


class RoleUnknown(AuthError):
    """There is no role with this name."""

    code = "role_unknown"
    kind = Kind.INVALID
    message = "Failed! Role does not exist!"

    def __init__(self, name: str) -> None:
        super().__init__()
        self.message = f"Failed! Role {name} does not exist!"


class RoleNotAllowed(AuthError):
    """The role cannot be requested at sign-up (see AUTH_SIGNUP_ROLES)."""

    code = "role_not_allowed"
    kind = Kind.FORBIDDEN
    message = "This role cannot be requested at sign-up. Ask an administrator to grant it."


class InvalidCredentials(AuthError):
    """The user is unknown or deactivated, or the password is wrong. The reason is not disclosed."""

    code = "invalid_credentials"
    kind = Kind.UNAUTHENTICATED
    message = "Invalid username or password!"


class InvalidClient(AuthError):
    """The service is unknown or inactive, or its secret is wrong (RFC 6749 section 5.2)."""

    code = "invalid_client"
    kind = Kind.UNAUTHENTICATED
    message = "The service could not be authenticated."


class EmailUnverified(AuthError):
    """The password is correct, but the email address is not verified and AUTH_UNVERIFIED_SIGNIN is off."""

    code = "email_unverified"
    kind = Kind.FORBIDDEN
    message = "The email address is not verified. Follow the link in the email, or request a new one."


class InvalidPassword(AuthError):
    """The password of a user who is signed in is wrong."""

    code = "invalid_password"
    kind = Kind.FORBIDDEN
    message = "The password is wrong."


class RecentAuthenticationRequired(AuthError):
    """The user entered the password longer ago than the action allows (RFC 9470). `max_age` is in seconds."""

    code = "recent_authentication_required"
    kind = Kind.FORBIDDEN
    message = "A recent authentication is required."

    def __init__(self, max_age: int) -> None:
        super().__init__()
        self.max_age = max_age
        self.message = (
            f"This requires an authentication within the last {max_age} seconds. Confirm your password first."
        )


class CsrfFailed(AuthError):
    """A request that is authenticated by a cookie failed the CSRF check."""

    code = "csrf_failed"
    kind = Kind.FORBIDDEN
    message = "The CSRF check failed."

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.message = f"The CSRF check failed: {reason}"


class AccountInUse(AuthError):
    """The account cannot be deleted, because rows of the project that protect it refer to it."""

    code = "account_in_use"
    kind = Kind.CONFLICT
    message = "This account cannot be deleted, because other records still refer to it. Contact support."


class NotFound(AuthError):
    """The object does not exist, or belongs to another user."""

    code = "not_found"
    kind = Kind.NOT_FOUND
    message = "There is nothing at this path."


class TokenMissing(AuthError):
    """The request has no access token."""

    code = "token_missing"
    kind = Kind.UNAUTHENTICATED
    message = "No token provided!"


class TokenExpired(AuthError):
    """The access token has expired (`exp`)."""

    code = "token_expired"
    kind = Kind.UNAUTHENTICATED
    message = "Unauthorized! Access Token was expired!"


class TokenInvalid(AuthError):
    """The access token was not issued by this service, or was altered."""

    code = "token_invalid"
    kind = Kind.UNAUTHENTICATED
    message = "Unauthorized!"


class TokenRevoked(AuthError):
    """The session of the access token has ended."""

    code = "token_revoked"
    kind = Kind.UNAUTHENTICATED
    message = "Unauthorized! Session was revoked!"


class TokenStale(AuthError):
    """The user's roles or password changed after the access token was issued."""

    code = "token_stale"
    kind = Kind.UNAUTHENTICATED
    message = "Unauthorized! Roles or credentials have changed: refresh the token."


class RoleRequired(AuthError):
    """The user is signed in, but does not have the required role."""

    code = "role_required"
    kind = Kind.FORBIDDEN
    message = "Require another role!"

    def __init__(self, role: str) -> None:
        super().__init__()
        self.message = f"Require {role.capitalize()} Role!"


class RefreshTokenMissing(AuthError):
    """The request has no refresh token."""

    code = "refresh_token_missing"
    kind = Kind.FORBIDDEN
    message = "Refresh Token is required!"


class RefreshTokenUnknown(AuthError):
    """The refresh token was not issued by this service, or its session was purged."""

    code = "refresh_token_unknown"
    kind = Kind.FORBIDDEN
    message = "Refresh token is not in database!"


class RefreshTokenExpired(AuthError):
    """The refresh token has expired."""

    code = "refresh_token_expired"
    kind = Kind.FORBIDDEN
    message = "Refresh token was expired. Please make a new signin request"


class RefreshTokenReused(AuthError):
    """The refresh token was already used. Its session has been ended (RFC 9700 section 4.14.2)."""

    code = "refresh_token_reused"
    kind = Kind.FORBIDDEN
    message = "Refresh token was already used. Please make a new signin request"


class RefreshTokenRevoked(AuthError):
    """The session was revoked, or its owner was deactivated."""

    code = "refresh_token_revoked"
    kind = Kind.FORBIDDEN
    message = "Refresh token was revoked. Please make a new signin request"


class Throttled(AuthError):
    """A rate limit was exceeded. `retry_after` is in seconds."""

    code = "throttled"
    kind = Kind.THROTTLED
    message = "Too many attempts."

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after
        self.message = f"Too many attempts. Try again in {retry_after} seconds."


class Unavailable(AuthError):
    """The database or the cache cannot be reached. `retry_after` is in seconds."""

    code = "unavailable"
    kind = Kind.UNAVAILABLE
    message = "The service is not available right now. Try again in a moment."
    retry_after = (
        1  # within the grace period, so that a refresh that was stored before the failure can be repeated
    )
