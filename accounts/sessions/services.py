"""Token introspection (RFC 7662) and revocation (RFC 7009) for registered services.

A service authenticates with a secret of 256 random bits. The row stores its SHA-256: a secret that long cannot be
found by brute force, so that it needs no slow password hash.
"""

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
from accounts.values.digests import digest_of

SECRET_PREFIX = "authsvc_"  # noqa: S105
"""A fixed prefix, so that secret scanners recognize a leaked secret."""

_INVALID_TOKEN_ERRORS = (TokenExpired, TokenInvalid, TokenRevoked, TokenStale)


def new_secret(service: Service) -> str:
    """Generate a secret, set its digest on the service, and return it. The caller saves the service."""
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    service.secret_digest = digest_of(secret)
    return secret


def authenticate(client_id: str, secret: str) -> Service:
    """Return the service with this client id and secret.

    Raises InvalidClient if there is none, if the secret is wrong or if the service is inactive.
    """
    service = (
        Service.objects.filter(client_id=client_id, is_active=True).first() if client_id.isprintable() else None
    )
    expected = service.secret_digest if service else digest_of("")
    if not constant_time_compare(digest_of(secret), expected) or service is None:
        raise InvalidClient
    return service


def introspect(service: Service, token: str) -> dict[str, Any] | None:
    """Return the introspection response for an access token issued for the service (RFC 7662).

    Returns None if the token is invalid or expired, is for another service, or is no access token; or if its
    session has ended, its owner is inactive, or the owner's roles or password changed. The reason is not
    disclosed.
    """
    try:
        claims = access_tokens.verify_for(service.audience, token, at=timezone.now())
        user = lifecycle.check(claims)
        # Reading the username loads the user, which raises TokenRevoked if the user was deleted in the meantime.
        username = user.username
    except _INVALID_TOKEN_ERRORS:
        return None
    return {**_introspection_response(lifecycle.with_roles(claims, user)), "username": username}


def revoke(service: Service, token: str, client: Client) -> None:
    """End the session of an access token issued for the service, or of any refresh token (RFC 7009).

    Any other string is ignored without an error.
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
        "aud": access_tokens.aud_claim(claims.audience),
        "sub": str(claims.user_id),
        "client_id": claims.client_id,
        "token_type": "Bearer",
        "iat": claims.issued_at,
        "nbf": claims.issued_at,
        "exp": claims.expires_at,
        "jti": claims.token_id,
        "sid": str(claims.session_id),
        "roles": list(claims.roles),
        "auth_time": claims.auth_time,
        "acr": str(claims.level),
        "amr": list(claims.methods),
        **({"scope": claims.scope} if claims.scope else {}),
    }
