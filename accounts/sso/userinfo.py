"""The claims about a user that a scope asks for (OpenID Connect Core section 5.4)."""

from typing import Any

from accounts.models import User
from accounts.oauth_errors import InsufficientScope
from accounts.tokens.claims import AccessClaims

OPENID, PROFILE, EMAIL = "openid", "profile", "email"
SCOPES = (OPENID, PROFILE, EMAIL)
"""The scopes that this service knows. Others are ignored (RFC 6749 section 3.3)."""

CLAIMS = ("sub", "name", "preferred_username", "locale", "email", "email_verified")
"""The claims that `claims_about` may return."""


def granted_scope(requested: str) -> str:
    """Return those of the requested scopes that this service knows, joined with blanks."""
    names = set(requested.split(" "))
    return " ".join(name for name in SCOPES if name in names)


def of(claims: AccessClaims, user: User) -> dict[str, Any]:
    """Return the claims about the user of a verified access token.

    Raises InsufficientScope if the token was not issued for the scope `openid`.
    """
    if OPENID not in claims.scope.split():
        raise InsufficientScope
    return claims_about(user, claims.scope)


def claims_about(user: User, scope: str) -> dict[str, Any]:
    """Return the user's id, and the claims that the scopes `profile` and `email` ask for, if not empty."""
    names = scope.split()
    claims: dict[str, Any] = {"sub": str(user.pk)}
    if PROFILE in names:
        claims |= {"name": user.fullname, "preferred_username": user.username, "locale": user.language}
    if EMAIL in names:
        claims |= {"email": user.email, "email_verified": user.is_email_verified}
    return {name: value for name, value in claims.items() if value != ""}
