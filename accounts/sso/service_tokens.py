"""Access tokens of registered services themselves (RFC 6749 section 4.4, RFC 9068).

A service calls another one with such a token. It names no user and no session, and only endpoints that opt in
accept it.
"""

import secrets
from datetime import datetime
from typing import Any

from django.utils import timezone

from accounts.conf import auth_settings
from accounts.errors import TokenExpired, TokenInvalid, TokenRevoked
from accounts.keys.key_ring import key_ring
from accounts.models import Service
from accounts.oauth_errors import InvalidTarget, UnauthorizedClient
from accounts.tokens import access_tokens, service_claims
from accounts.tokens.access_tokens import AccessToken
from accounts.tokens.service_claims import ServiceClaims
from accounts.values.authentication import SINGLE_FACTOR


def issue(service: Service, audience: str | None = None) -> AccessToken:
    """Return an access token for one of the services that this one may call, or for all of them.

    Its roles are those of the service, except those of AUTH_SECOND_FACTOR_ROLES: it presented no second factor.

    Raises UnauthorizedClient if it may call none, and InvalidTarget if it may not call `audience`.
    """
    known: tuple[str, ...] = auth_settings().audience
    allowed = tuple(name for name in known if name in service.audiences)
    # The id of an earlier release may be only digits, like that of a user (RFC 9700 section 4.15).
    if not allowed or service.client_id.isdigit():
        raise UnauthorizedClient
    selected = allowed if audience is None else tuple(name for name in allowed if name == audience)
    if not selected:
        raise InvalidTarget
    claims = _claims(service, selected, timezone.now())
    return AccessToken(access_tokens.encode(claims), claims["exp"] - claims["iat"], claims, remember=False)


def verify(token: str, audience: str) -> ServiceClaims:
    """Verify an access token of a service as the service named `audience` would, and return its claims.

    Roles that the service does not have any more are left out.

    Raises TokenExpired, TokenInvalid, or TokenRevoked if the service is unknown or inactive.
    """
    signed, _ = access_tokens.decrypt(token)
    claims = service_claims.verify(
        signed,
        find_key=key_ring().verifying.get,
        issuer=access_tokens.issuer(),
        audience=audience,
        at=timezone.now(),
    )
    service = Service.objects.filter(client_id=claims.client_id, is_active=True).first()
    if service is None:
        raise TokenRevoked
    return claims._replace(roles=tuple(role for role in claims.roles if role in _roles(service)))


def introspect(service: Service, token: str) -> dict[str, Any] | None:
    """Return the introspection response for the token of another service (RFC 7662), or None if it is invalid.

    The token must have been issued for `service`.
    """
    try:
        claims = verify(token, service.audience)
    except (TokenExpired, TokenInvalid, TokenRevoked):
        return None
    return {
        "active": True,
        "iss": access_tokens.issuer(),
        "aud": access_tokens.aud_claim(claims.audience),
        "sub": claims.client_id,
        "client_id": claims.client_id,
        "token_type": "Bearer",
        "iat": claims.issued_at,
        "exp": claims.expires_at,
        "jti": claims.token_id,
        "roles": list(claims.roles),
    }


def _claims(service: Service, audience: tuple[str, ...], now: datetime) -> dict[str, Any]:
    issued_at = int(now.timestamp())
    return {
        "iss": access_tokens.issuer(),
        "aud": access_tokens.aud_claim(audience),
        "sub": service.client_id,
        "client_id": service.client_id,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + int(auth_settings().access_token_lifetime.total_seconds()),
        "jti": secrets.token_urlsafe(16),
        "roles": list(_roles(service)),
    }


def _roles(service: Service) -> tuple[str, ...]:
    return access_tokens.roles_at(SINGLE_FACTOR, tuple(service.roles))
