"""The errors of OAuth 2.0 and OpenID Connect, continued from `accounts.errors`.

Each code is the `error` of RFC 6749, OpenID Connect Core or RFC 8707.
"""

from accounts.errors import AuthError, InvalidRequest, Kind


class InvalidGrant(AuthError):
    """The code or refresh token is invalid, expired, revoked, used, or another client's (RFC 6749 section 5.2)."""

    code = "invalid_grant"
    kind = Kind.INVALID
    message = "The code or refresh token is not valid. Start the sign-in again."

    def __init__(self, message: str = "") -> None:
        super().__init__()
        self.message = message or self.message


class UnauthorizedClient(AuthError):
    """The client may not use this grant (RFC 6749 section 5.2)."""

    code = "unauthorized_client"
    kind = Kind.INVALID
    message = "This client may not use this grant."


class UnsupportedGrantType(AuthError):
    """The grant is not one of those in the discovery document (RFC 6749 section 5.2)."""

    code = "unsupported_grant_type"
    kind = Kind.INVALID
    message = "Unknown grant_type. Allowed: authorization_code, refresh_token, client_credentials."


class InvalidTarget(AuthError):
    """The client may not get access tokens for this audience (RFC 8707 section 2)."""

    code = "invalid_target"
    kind = Kind.INVALID
    message = "This client may not get access tokens for this audience."


class InsufficientScope(AuthError):
    """The access token lacks the scope that the endpoint requires (RFC 6750 section 3.1)."""

    code = "insufficient_scope"
    kind = Kind.FORBIDDEN
    message = "The access token lacks the scope openid."


class ClientUnknown(InvalidRequest):
    """An authorization request names no active application. The browser must not be redirected."""

    message = "The application is not registered here, or is deactivated."


class RedirectUriUnknown(InvalidRequest):
    """The redirect URI is not registered for the application. The browser must not be redirected."""

    message = "The address to return to is not registered for this application."


class AuthorizationError(Exception):
    """An authorization request is refused, and the browser returns to the application with the reason.

    `code` is that of RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6 or RFC 8707. `redirect_uri` is
    registered for the application.
    """

    def __init__(self, code: str, description: str, *, redirect_uri: str, state: str | None) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.redirect_uri = redirect_uri
        self.state = state
