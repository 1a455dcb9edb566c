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
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request

from accounts.errors import AuthError
from accounts.tokens.claims import AccessClaims, verify

logger = logging.getLogger(__name__)

ALGORITHMS = frozenset({"ES256", "EdDSA", "RS256"})
METADATA = "/.well-known/oauth-authorization-server"
MAX_AGE = 30
"""How long published keys are taken for current, in seconds: a dropped one is refused after as long."""

COOLDOWN = 5
"""How long after a look at the published keys an unknown `kid` is no reason to look again, in seconds."""

MAX_STALE = 3600
"""How long keys are taken that cannot be looked up, in seconds: then a dropped one must not be taken any more."""

_TIMEOUT = 5  # seconds
_MAX_SIZE = 1024 * 1024  # bytes


class IssuerUnavailable(APIException):
    """The issuer cannot be reached, and its keys were not seen for too long."""

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
    """The keys that an issuer publishes, looked up again when they are old or lack one.

    One request looks at a time, and the others go on with what is known. An issuer that is down for a while signs
    nobody out; one that was not seen for an hour is believed no longer.
    """

    def __init__(self, issuer: str) -> None:
        if not issuer.startswith(("https://", "http://")):
            raise ImproperlyConfigured(f"AUTH_SERVICE: the issuer is {issuer!r}. Allowed: an https:// address.")
        self._issuer = issuer
        self._keys: dict[str, PublishedKey] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetch_lock = Lock()

    def find(self, kid: str) -> PublishedKey | None:
        """Return the key of that name.

        Raises IssuerUnavailable where the keys were not seen for too long.
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
        """Look, unless another request does; where nothing is known yet, wait for it."""
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
                raise ValueError("The metadata is another issuer's.")  # noqa: TRY301  RFC 8414 section 3.3
            found = [_read_key(jwk) for jwk in _fetch(metadata["jwks_uri"])["keys"]]
            self._keys = {key.kid: key for key in found if key is not None}
            self._fetched_at = time.monotonic()
        except Exception as error:  # noqa: BLE001  whatever the other side sends, and the parsers make of it
            logger.warning("The keys of %s cannot be looked up: %s", self._issuer, type(error).__name__)
        finally:
            self._tried_at = time.monotonic()


def _fetch(url: str) -> Any:
    """Read a JSON document of bounded length in bounded time.

    Raises ValueError or OSError, among others.
    """
    if not url.startswith(("https://", "http://")):
        raise ValueError("no address")
    deadline = time.monotonic() + _TIMEOUT
    content = b""
    with urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310  the scheme was checked
        while part := response.read1(_MAX_SIZE):
            content += part
            if len(content) > _MAX_SIZE or time.monotonic() > deadline:
                raise ValueError("too long, or too slow")
    return json.loads(content)


def _read_key(jwk: Any) -> PublishedKey | None:
    """Read a published key; None for one that signs no tokens, or of a kind that is not taken."""
    try:
        key = jwt.PyJWK(jwk)
    except jwt.PyJWTError:
        return None
    is_supported = key.key_id and key.algorithm_name in ALGORITHMS and key.public_key_use in {None, "sig"}
    return PublishedKey(str(key.key_id), str(key.algorithm_name), key.key) if is_supported else None


class StatelessAuthentication(BaseAuthentication):
    """Takes `Authorization: Bearer` (RFC 6750); sets `request.user`, a `TokenUser`, and `request.auth`."""

    def authenticate(self, request: Request) -> tuple[TokenUser, AccessClaims] | None:
        """Check the token by itself.

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
        """Name the scheme for 401 answers."""
        return 'Bearer realm="api"'


@cache
def _keys_of(issuer: str) -> IssuerKeys:
    return IssuerKeys(issuer)
