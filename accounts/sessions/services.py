"""What registered services ask about tokens, and have done to them: introspection and revocation.

A service proves itself by a secret of 256 random bits. That many need no slow hash: the row keeps their SHA-256,
from which nobody finds them.
"""

import hashlib
import secrets
from typing import Any

from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.errors import InvalidClient, TokenExpired, TokenInvalid, TokenRevoked, TokenStale
from accounts.models import EndReason, Service
from accounts.sessions import lifecycle, rotation
from accounts.tokens import access_tokens
from accounts.tokens.claims import AccessClaims
from accounts.values.clients import Client

SECRET_PREFIX = "authsvc_"  # noqa: S105
"""Fixed, so that secret scanners can tell what they found."""

_INVALID_TOKEN_ERRORS = (TokenExpired, TokenInvalid, TokenRevoked, TokenStale)


def new_secret(service: Service) -> str:
    """Draw another secret for a service, for the caller to show once and to save the service."""
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    service.secret_digest = _digest(secret)
    return secret


def authenticate(client_id: str, secret: str) -> Service:
    """Return the service that an id and a secret belong to.

    Raises InvalidClient.
    """
    service = (
        Service.objects.filter(client_id=client_id, is_active=True).first() if client_id.isprintable() else None
    )
    expected = service.secret_digest if service else _digest("")
    if not constant_time_compare(_digest(secret), expected) or service is None:
        raise InvalidClient
    return service


def introspect(service: Service, token: str) -> dict[str, Any] | None:
    """Tell a service what an access token for it says, if it is good at this moment (RFC 7662).

    That takes its session, its owner and the owner's roles into account. None for a token that is not good, is for
    another service, or is no access token: which one is not told.
    """
    try:
        claims = access_tokens.verify_for(service.audience, token, at=timezone.now())
        # The user is loaded where it is looked at, and may be gone by then.
        username = lifecycle.check(claims).username
    except _INVALID_TOKEN_ERRORS:
        return None
    return {**_introspection_response(claims), "username": username}


def revoke(service: Service, token: str, client: Client) -> None:
    """End the session of an access token for a service, or of a refresh token that somebody gave it (RFC 7009).

    Whatever else it is, nothing happens, and nothing is told.
    """
    try:
        claims = access_tokens.verify_for(service.audience, token, at=timezone.now())
    except (TokenExpired, TokenInvalid):
        rotation.end_by_refresh_token(token, client, reason=EndReason.REVOKED_BY_SERVICE)
    else:
        lifecycle.end(claims.session_id, EndReason.REVOKED_BY_SERVICE, client)


def _introspection_response(claims: AccessClaims) -> dict[str, Any]:
    return {
        "active": True,
        "iss": access_tokens.issuer(),
        "aud": claims.audience[0] if len(claims.audience) == 1 else list(claims.audience),
        "sub": str(claims.user_id),
        "client_id": access_tokens.CLIENT_ID,
        "token_type": "Bearer",
        "iat": claims.issued_at,
        "nbf": claims.issued_at,
        "exp": claims.expires_at,
        "jti": claims.token_id,
        "sid": str(claims.session_id),
        "roles": list(claims.roles),
        "auth_time": claims.auth_time,
    }


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
