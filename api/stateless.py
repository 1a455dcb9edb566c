"""Authentication for other Django projects: verifies this service's access tokens, and has no database of it.

A project that has this one on its path adds no app of it, and says whose tokens it takes, and what it is called:

    AUTH_SERVICE = {"issuer": "https://auth.example.com", "audience": "orders"}
    REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["api.stateless.StatelessAuthentication"]}

It finds the keys by the issuer's metadata (RFC 8414). A token is good here until it expires, whatever becomes of
its session: who needs to know sooner asks the issuer (RFC 7662).
"""

import json
import logging
import time
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any
from urllib.request import urlopen

import jwt
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from jwt import PyJWKClient
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request

from accounts.claims import AccessClaims, verify
from accounts.errors import AuthError

logger = logging.getLogger(__name__)

ALGORITHMS = frozenset({"ES256", "EdDSA", "RS256"})
METADATA = "/.well-known/oauth-authorization-server"
MAX_AGE = 30
"""How long published keys are taken for current, in seconds: a dropped one is refused after as long."""

COOLDOWN = 5
"""How long after a look at the published keys an unknown `kid` is no reason to look again, in seconds."""

_TIMEOUT = 5  # seconds


class IssuerUnavailable(APIException):
    """The issuer cannot be reached, and its keys were never seen."""

    status_code = 503
    default_code = "unavailable"
    default_detail = "The issuer of access tokens cannot be reached."


@dataclass(frozen=True, slots=True)
class TokenUser:
    """Who a token stands for: no row, but what the token says."""

    pk: int
    roles: tuple[str, ...]

    is_authenticated = True
    is_anonymous = False
    is_active = True

    def __str__(self) -> str:
        return f"user {self.pk}"


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key as its issuer publishes it."""

    kid: str
    algorithm: str
    public_key: Any


class IssuerKeys:
    """The keys that an issuer publishes, looked up again when they are old or lack one."""

    def __init__(self, issuer: str) -> None:
        if not issuer.startswith(("https://", "http://")):
            raise ImproperlyConfigured(f"AUTH_SERVICE: the issuer is {issuer!r}. Allowed: an https:// address.")
        self._issuer = issuer
        self._keys: dict[str, PublishedKey] = {}
        self._looked_at: float | None = None
        self._lock = Lock()

    def find(self, kid: str) -> PublishedKey | None:
        """Return the key of that name.

        Raises IssuerUnavailable where no keys were ever seen.
        """
        with self._lock:
            age = float("inf") if self._looked_at is None else time.monotonic() - self._looked_at
            if age > MAX_AGE or (kid not in self._keys and age > COOLDOWN):
                self._look()
        return self._keys.get(kid)

    def _look(self) -> None:
        try:
            found = PyJWKClient(self._jwks_uri(), cache_jwk_set=False, timeout=_TIMEOUT).get_signing_keys()
        except (OSError, ValueError, KeyError, jwt.PyJWTError) as error:
            if self._looked_at is None:
                raise IssuerUnavailable from None
            # The keys from before stay good: an issuer that is down for a moment signs nobody out.
            logger.warning("The keys of %s cannot be looked up: %s", self._issuer, type(error).__name__)
        else:
            keys = [PublishedKey(str(key.key_id), str(key.algorithm_name), key.key) for key in found]
            self._keys = {key.kid: key for key in keys if key.algorithm in ALGORITHMS}
        self._looked_at = time.monotonic()

    def _jwks_uri(self) -> str:
        with urlopen(self._issuer + METADATA, timeout=_TIMEOUT) as answer:  # noqa: S310  the scheme was checked
            metadata = json.load(answer)
        if metadata["issuer"] != self._issuer:
            raise ValueError("The metadata is another issuer's.")  # RFC 8414 section 3.3
        uri: str = metadata["jwks_uri"]
        return uri


class StatelessAuthentication(BaseAuthentication):
    """Takes `Authorization: Bearer` (RFC 6750); sets `request.user`, a `TokenUser`, and `request.auth`."""

    def authenticate(self, request: Request) -> tuple[TokenUser, AccessClaims] | None:
        """Check the token by itself.

        Raises AuthenticationFailed or IssuerUnavailable.
        """
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        own: dict[str, str] = settings.AUTH_SERVICE  # type: ignore[misc]  # the other project's
        issuer, audience = own["issuer"], own["audience"]
        find_key = _keys_of(issuer).find
        try:
            claims = verify(token.strip(), find_key=find_key, issuer=issuer, audience=audience, at=timezone.now())
        except AuthError as error:
            raise AuthenticationFailed(error.message, error.code) from None
        return TokenUser(claims.user_id, claims.roles), claims

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme for 401 answers."""
        return 'Bearer realm="api", error="invalid_token"'


@cache
def _keys_of(issuer: str) -> IssuerKeys:
    return IssuerKeys(issuer)
