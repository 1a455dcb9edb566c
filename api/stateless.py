"""Authentication for other Django projects: verifies this service's access tokens without its database.

The project has this repository on its path, adds no app, and configures the issuer and its own name:

AUTH_SERVICE = {"issuer": "https://auth.example.com", "audience": "orders"}
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["api.stateless.StatelessAuthentication"]}

Keys are found through the issuer's metadata (RFC 8414). A token is accepted until it expires, even if its session
is revoked. To learn of a revocation earlier, introspect the token (RFC 7662).
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
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request

from accounts.errors import AuthError
from accounts.tokens.claims import AccessClaims, verify

logger = logging.getLogger(__name__)

ALGORITHMS = frozenset({"ES256", "EdDSA", "RS256"})
METADATA = "/.well-known/oauth-authorization-server"
MAX_AGE = 30
"""Seconds after which published keys are fetched again. A dropped key is refused after at most that time."""

COOLDOWN = 5
"""Seconds between two fetches, however many unknown `kid`s arrive."""

MAX_STALE = 3600
"""Seconds for which keys are used while the issuer is unreachable. After that, a dropped key could still be
accepted."""

_TIMEOUT = 5  # seconds
_MAX_SIZE = 1024 * 1024  # bytes


class IssuerUnavailable(APIException):
    """The issuer is unreachable, and its keys are too old to be used."""

    status_code = 503
    default_code = "unavailable"
    default_detail = "The issuer of access tokens cannot be reached."


@dataclass(frozen=True, slots=True)
class TokenUser:
    """The user of a token, without a database row."""

    pk: int
    roles: tuple[str, ...]

    is_authenticated = True
    is_anonymous = False
    is_active = True

    def __str__(self) -> str:
        return f"user {self.pk}"


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A public key of the issuer."""

    kid: str
    algorithm: str
    public_key: Any


class IssuerKeys:
    """The public keys of an issuer, fetched again when they are old or a `kid` is unknown.

    One request fetches at a time; the others use the keys that are known. If the issuer is unreachable, known keys
    remain valid for MAX_STALE seconds.
    """

    def __init__(self, issuer: str) -> None:
        if not issuer.startswith(("https://", "http://")):
            raise ImproperlyConfigured(f"AUTH_SERVICE: the issuer is {issuer!r}. Allowed: an https:// URL.")
        self._issuer = issuer
        self._keys: dict[str, PublishedKey] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetch_lock = Lock()

    def find(self, kid: str) -> PublishedKey | None:
        """Return the key with this `kid`, or None.

        Raises IssuerUnavailable if the keys are older than MAX_STALE.
        """
        is_current = time.monotonic() - self._fetched_at <= MAX_AGE
        if not (is_current and kid in self._keys) and self._may_fetch():
            self._fetch_once()
        if time.monotonic() - self._fetched_at > MAX_STALE:
            raise IssuerUnavailable
        return self._keys.get(kid)

    def _may_fetch(self) -> bool:
        return time.monotonic() - self._tried_at > COOLDOWN

    def _fetch_once(self) -> None:
        """Fetch the keys unless another request does. Wait for that request only if no keys are known yet."""
        is_unknown = self._fetched_at == float("-inf")
        if not self._fetch_lock.acquire(blocking=is_unknown):
            return
        try:
            if self._may_fetch():
                self._fetch_keys()
        finally:
            self._fetch_lock.release()

    def _fetch_keys(self) -> None:
        try:
            metadata = _fetch(self._issuer + METADATA)
            if metadata["issuer"] != self._issuer:
                raise ValueError("The metadata belongs to another issuer.")  # noqa: TRY301  RFC 8414 section 3.3
            found = [_read_key(jwk) for jwk in _fetch(metadata["jwks_uri"])["keys"]]
            self._keys = {key.kid: key for key in found if key is not None}
            self._fetched_at = time.monotonic()
        except Exception as error:  # noqa: BLE001  the response and its parsers can raise anything
            logger.warning("The keys of %s cannot be fetched: %s", self._issuer, type(error).__name__)
        finally:
            self._tried_at = time.monotonic()


def _fetch(url: str) -> Any:
    """Fetch a JSON document, with limits on size and time.

    Raises ValueError or OSError, among others.
    """
    if not url.startswith(("https://", "http://")):
        raise ValueError("not an http:// or https:// URL")
    deadline = time.monotonic() + _TIMEOUT
    content = b""
    with urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310  the scheme was checked
        while part := response.read1(_MAX_SIZE):
            content += part
            if len(content) > _MAX_SIZE or time.monotonic() > deadline:
                raise ValueError("the document is too large or too slow")
    return json.loads(content)


def _read_key(jwk: Any) -> PublishedKey | None:
    """Parse a published key; return None if it is not a signing key of a supported algorithm."""
    try:
        key = jwt.PyJWK(jwk)
    except jwt.PyJWTError:
        return None
    is_supported = key.key_id and key.algorithm_name in ALGORITHMS and key.public_key_use in {None, "sig"}
    return PublishedKey(str(key.key_id), str(key.algorithm_name), key.key) if is_supported else None


class StatelessAuthentication(BaseAuthentication):
    """Authenticates by `Authorization: Bearer` (RFC 6750).

    `request.user` is a `TokenUser`, `request.auth` the token's `AccessClaims`.
    """

    def authenticate(self, request: Request) -> tuple[TokenUser, AccessClaims] | None:
        """Verify the token; return the user and the claims.

        Raises AuthenticationFailed or IssuerUnavailable.
        """
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        service_settings: dict[str, str] = settings.AUTH_SERVICE  # type: ignore[misc]  # the other project's
        issuer, audience = service_settings["issuer"], service_settings["audience"]
        find_key = _keys_of(issuer).find
        try:
            claims = verify(token.strip(), find_key=find_key, issuer=issuer, audience=audience, at=timezone.now())
        except AuthError as error:
            raise AuthenticationFailed(error.message, error.code) from None
        return TokenUser(claims.user_id, claims.roles), claims

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge for `WWW-Authenticate`."""
        return 'Bearer realm="api"'


@cache
def _keys_of(issuer: str) -> IssuerKeys:
    return IssuerKeys(issuer)
