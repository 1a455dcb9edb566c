"""Every refusal of this service: its code, its kind and what it tells the person."""

from collections.abc import Mapping
from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What sort of refusal it is; the wire maps each to one status."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"


class AuthError(Exception):
    """A request that this service refuses. Subclasses declare `code`, `kind` and `message`."""

    code: ClassVar[str]
    kind: ClassVar[Kind]
    message: str

    def __str__(self) -> str:
        return self.message


class InvalidRequest(AuthError):
    """What was sent cannot be used; `errors` says why, field by field."""

    code = "invalid_request"
    kind = Kind.INVALID
    message = "The request is not valid."

    def __init__(self, message: str = "", errors: Mapping[str, list[str]] | None = None) -> None:
        super().__init__()
        self.errors = dict(errors or {})
        if message or self.errors:
            self.message = message or " ".join(f"{name}: {texts[0]}" for name, texts in self.errors.items())


class MailTokenInvalid(InvalidRequest):
    """A mailed token was used, is too old, or was never issued: which one is not told."""

    def __init__(self) -> None:
        super().__init__(errors={"token": ["This link was used, is too old, or was never sent. Ask for another."]})


class UsernameTaken(AuthError):
    """An account has this username already, or one that differs only by case or form."""

    code = "username_taken"
    kind = Kind.INVALID
    message = "Failed! Username is already in use!"


class EmailTaken(AuthError):
    """An account has this e-mail address already, or one that differs only by case or form."""

    code = "email_taken"
    kind = Kind.INVALID
    message = "Failed! Email is already in use!"


class RoleUnknown(AuthError):
    """No role has this name."""

    code = "role_unknown"
    kind = Kind.INVALID
    message = "Failed! Role does not exist!"

    def __init__(self, name: str) -> None:
        super().__init__()
        self.message = f"Failed! Role {name} does not exist!"


class RoleNotAllowed(AuthError):
    """Sign-up does not hand out this role."""

    code = "role_not_allowed"
    kind = Kind.FORBIDDEN
    message = "This role is not given at sign-up. An administrator grants it."


class InvalidCredentials(AuthError):
    """No such user, a wrong password or a deactivated user: which one is not told."""

    code = "invalid_credentials"
    kind = Kind.UNAUTHENTICATED
    message = "Invalid username or password!"


class InvalidClient(AuthError):
    """No such service, a wrong secret, or a service that may not ask (RFC 6749 section 5.2)."""

    code = "invalid_client"
    kind = Kind.UNAUTHENTICATED
    message = "The service could not be authenticated."


class EmailUnverified(AuthError):
    """The password is right, but the e-mail address is not verified, and AUTH_UNVERIFIED_SIGNIN is off."""

    code = "email_unverified"
    kind = Kind.FORBIDDEN
    message = "The e-mail address is not verified. Follow the link in the mail, or ask for another one."


class InvalidPassword(AuthError):
    """A user who is signed in gave a wrong password."""

    code = "invalid_password"
    kind = Kind.FORBIDDEN
    message = "The password is wrong."


class RecentAuthenticationRequired(AuthError):
    """The password was not asked for recently enough; `max_age` is in seconds (RFC 9470)."""

    code = "recent_authentication_required"
    kind = Kind.FORBIDDEN
    message = "A recent authentication is required."

    def __init__(self, max_age: int) -> None:
        super().__init__()
        self.max_age = max_age
        self.message = f"This needs an authentication of the last {max_age} seconds. Confirm the password first."


class CsrfFailed(AuthError):
    """A request that rides on a cookie comes from a foreign page, or does not prove that it does not."""

    code = "csrf_failed"
    kind = Kind.FORBIDDEN
    message = "The CSRF check failed."

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.message = f"The CSRF check failed: {reason}"


class NotFound(AuthError):
    """There is no such thing, or it is somebody else's."""

    code = "not_found"
    kind = Kind.NOT_FOUND
    message = "There is nothing at this path."


class TokenMissing(AuthError):
    """The request carries no access token."""

    code = "token_missing"
    kind = Kind.UNAUTHENTICATED
    message = "No token provided!"


class TokenExpired(AuthError):
    """The access token was good until its `exp`."""

    code = "token_expired"
    kind = Kind.UNAUTHENTICATED
    message = "Unauthorized! Access Token was expired!"


class TokenInvalid(AuthError):
    """This service did not issue the access token, or not in this spelling."""

    code = "token_invalid"
    kind = Kind.UNAUTHENTICATED
    message = "Unauthorized!"


class TokenRevoked(AuthError):
    """The session that the access token belongs to is over."""

    code = "token_revoked"
    kind = Kind.UNAUTHENTICATED
    message = "Unauthorized! Session was revoked!"


class TokenStale(AuthError):
    """The owner's roles or credentials changed after the access token was issued."""

    code = "token_stale"
    kind = Kind.UNAUTHENTICATED
    message = "Unauthorized! Roles or credentials have changed: refresh the token."


class RoleRequired(AuthError):
    """The user is signed in but lacks the role."""

    code = "role_required"
    kind = Kind.FORBIDDEN
    message = "Require another role!"

    def __init__(self, role: str) -> None:
        super().__init__()
        self.message = f"Require {role.capitalize()} Role!"


class RefreshTokenMissing(AuthError):
    """A refresh without a refresh token."""

    code = "refresh_token_missing"
    kind = Kind.FORBIDDEN
    message = "Refresh Token is required!"


class RefreshTokenUnknown(AuthError):
    """This service did not issue the refresh token, or its session was purged."""

    code = "refresh_token_unknown"
    kind = Kind.FORBIDDEN
    message = "Refresh token is not in database!"


class RefreshTokenExpired(AuthError):
    """The refresh token was not used in time."""

    code = "refresh_token_expired"
    kind = Kind.FORBIDDEN
    message = "Refresh token was expired. Please make a new signin request"


class RefreshTokenReused(AuthError):
    """A refresh token came back after it was rotated: its session is over (RFC 9700 section 4.14.2)."""

    code = "refresh_token_reused"
    kind = Kind.FORBIDDEN
    message = "Refresh token was already used. Please make a new signin request"


class RefreshTokenRevoked(AuthError):
    """The session was revoked, or its owner deactivated."""

    code = "refresh_token_revoked"
    kind = Kind.FORBIDDEN
    message = "Refresh token was revoked. Please make a new signin request"


class Throttled(AuthError):
    """Too many failures; `retry_after` is in seconds."""

    code = "throttled"
    kind = Kind.THROTTLED
    message = "Too many attempts."

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after
        self.message = f"Too many attempts. Try again in {retry_after} seconds."


class Unavailable(AuthError):
    """The database or the cache cannot be reached; `retry_after` is in seconds."""

    code = "unavailable"
    kind = Kind.UNAVAILABLE
    message = "The service is not available right now. Try again in a moment."
    retry_after = 1  # a refresh that was done all the same is repeated within the grace
