"""The relying party of passkeys (WebAuthn Level 3): its id, the origins whose pages may use them, algorithms."""

from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from fido2.server import Fido2Server
from fido2.webauthn import (
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
)

from accounts.conf import auth_settings
from accounts.factors import challenges
from accounts.values.origins import serialize_origin

ALGORITHMS = (-7, -8, -257)
"""ES256, EdDSA and RS256 (RFC 9053): what platforms and security keys support."""


def identifier() -> str:
    """Return the relying party id: the host of PUBLIC_URL, or of AUTH_ISSUER without one."""
    return _host(_own_origin())


def origins() -> tuple[str, ...]:
    """Return the origins whose pages may use passkeys: PUBLIC_URL, and CORS_ALLOWED_ORIGINS within its host."""
    own, host = _own_origin(), identifier()
    others = (serialize_origin(str(origin)) for origin in getattr(settings, "CORS_ALLOWED_ORIGINS", ()))
    # Browsers offer passkeys over HTTP on localhost only: elsewhere, such an origin is a network attacker's.
    schemes = {"https", urlsplit(own).scheme}
    within = [o for o in others if f".{_host(o)}".endswith(f".{host}") and urlsplit(o).scheme in schemes]
    return tuple(dict.fromkeys((own, *within)))


def _own_origin() -> str:
    """Return the origin of this service as browsers write it: in ASCII and lower case, without a default port."""
    url = auth_settings().public_url or auth_settings().issuer
    if urlsplit(url).hostname:
        return serialize_origin(url)
    return f"http://localhost:{getattr(settings, 'PORT', 8000)}"


def _host(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def server() -> Any:
    """Return the library's verifier for this relying party."""
    return _build_server(identifier(), origins())


@cache
def _build_server(host: str, allowed: tuple[str, ...]) -> Any:
    entity = PublicKeyCredentialRpEntity(id=host, name=host)
    server: Any = Fido2Server(entity, verify_origin=lambda origin: origin in allowed)
    server.timeout = int(challenges.LIFETIME.total_seconds() * 1000)
    public_key = PublicKeyCredentialType.PUBLIC_KEY
    server.allowed_algorithms = [PublicKeyCredentialParameters(type=public_key, alg=alg) for alg in ALGORITHMS]
    return server
