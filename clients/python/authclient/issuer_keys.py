"""Fetch the public keys of an issuer through its metadata (RFC 8414, RFC 7517) and cache them."""

import json
import logging
import ssl
import time
from dataclasses import dataclass
from threading import Lock
from typing import Any

import httpx
import jwt

from authclient.refusals import IssuerUnavailable

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


class _MetadataRefused(Exception):
    """The issuer's metadata must not be used. The message is logged, and contains no text of the response."""


class FetchDue(Exception):
    """The keys must be fetched before the token can be verified."""


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A public key of the issuer, bound to one algorithm (RFC 8725 section 3.1)."""

    kid: str
    algorithm: str
    public_key: Any


class IssuerKeys:
    """The public keys of an issuer, fetched again when they are old or a `kid` is unknown.

    One thread fetches at a time; the others use the keys that are known. If the issuer is unreachable, known keys
    remain valid for MAX_STALE seconds. `http` is the httpx client for the requests; without it, each fetch opens a
    connection of its own, so that a process that forks shares none with its children.
    """

    def __init__(self, issuer: str, http: httpx.Client | None = None) -> None:
        if not issuer.startswith(("https://", "http://")):
            raise ValueError(f"The issuer is {issuer!r}. Allowed: an https:// URL.")
        self._issuer = issuer
        self._http = http
        self._keys: dict[str, PublishedKey] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetch_lock = Lock()

    def find(self, kid: str) -> PublishedKey | None:
        """Return the key with this `kid`, or None.

        Raises IssuerUnavailable if the keys are older than MAX_STALE.
        """
        if self._is_fetch_due(kid):
            self._fetch_once()
        if time.monotonic() - self._fetched_at > MAX_STALE:
            raise IssuerUnavailable
        return self._keys.get(kid)

    def find_without_fetching(self, kid: str) -> PublishedKey | None:
        """Return the key with this `kid`, or None, without blocking.

        Raises FetchDue if `find` would fetch the keys first, and IssuerUnavailable as `find` does.
        """
        if self._is_fetch_due(kid):
            raise FetchDue
        if time.monotonic() - self._fetched_at > MAX_STALE:
            raise IssuerUnavailable
        return self._keys.get(kid)

    def _is_fetch_due(self, kid: str) -> bool:
        is_current = time.monotonic() - self._fetched_at <= MAX_AGE
        return not (is_current and kid in self._keys) and self._may_fetch()

    def _may_fetch(self) -> bool:
        return time.monotonic() - self._tried_at > COOLDOWN

    def _fetch_once(self) -> None:
        """Fetch the keys unless another thread does. Wait for that thread only if no keys are known yet."""
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
            metadata = self._fetch(self._issuer + METADATA)
            self._keys = _read_keys(self._fetch(_keys_url(metadata, self._issuer)))
            self._fetched_at = time.monotonic()
        except _MetadataRefused as refused:
            logger.warning("The keys of %s are not used: %s", self._issuer, refused)
        except Exception as error:  # noqa: BLE001  the response and its parsers can raise anything
            logger.warning("The keys of %s cannot be fetched: %s", self._issuer, type(error).__name__)
        finally:
            self._tried_at = time.monotonic()

    def _fetch(self, url: str) -> Any:
        if self._http is not None:
            return _fetch(self._http, url)
        # httpx would trust the certificates of a package instead of the machine's.
        with httpx.Client(verify=ssl.create_default_context()) as http:
            return _fetch(http, url)


def _keys_url(metadata: Any, issuer: str) -> Any:
    """Return the `jwks_uri` of an issuer's metadata.

    Raises _MetadataRefused if the metadata or the keys could be another's, and TypeError, KeyError or
    AttributeError if it is not metadata.
    """
    if metadata["issuer"] != issuer:
        raise _MetadataRefused("The metadata belongs to another issuer.")  # RFC 8414 section 3.3
    url = metadata["jwks_uri"]
    # An attacker who can change an unencrypted response could publish a key and sign tokens with it.
    if issuer.startswith("https://") and not url.startswith("https://"):
        raise _MetadataRefused("The issuer has an https:// URL, but its jwks_uri has not.")
    return url


def _fetch(http: httpx.Client, url: str) -> Any:
    """Fetch a JSON document, with limits on size and time.

    Raises ValueError or httpx.HTTPError, among others.
    """
    if not url.startswith(("https://", "http://")):
        raise ValueError("not an http:// or https:// URL")
    deadline = time.monotonic() + _TIMEOUT
    content = b""
    # Without compression, a small response cannot become a large one. A redirect could lead to the keys of another
    # server, so it is refused even if the client follows redirects.
    headers = {"Accept-Encoding": "identity"}
    with http.stream("GET", url, headers=headers, timeout=_TIMEOUT, follow_redirects=False) as response:
        response.raise_for_status()
        if "Content-Encoding" in response.headers:
            raise ValueError("the document is compressed")
        for part in response.iter_bytes():
            content += part
            if len(content) > _MAX_SIZE or time.monotonic() > deadline:
                raise ValueError("the document is too large or too slow")
    return json.loads(content)


def _read_keys(jwk_set: Any) -> dict[str, PublishedKey]:
    """Parse the keys of a JWK set, by `kid`. Entries that cannot be used are ignored (RFC 7517 section 5).

    Raises TypeError or KeyError if it is not a JWK set.
    """
    jwks = jwk_set["keys"]
    if not isinstance(jwks, list):
        raise TypeError("the keys are not a list")
    found = [_read_key(jwk) for jwk in jwks]
    return {key.kid: key for key in found if key is not None}


def _read_key(jwk: Any) -> PublishedKey | None:
    """Parse a published key; return None if it is not a signing key of a supported algorithm."""
    try:
        key = jwt.PyJWK(jwk)
        kid, algorithm = key.key_id, key.algorithm_name
        is_for_tokens = algorithm in ALGORITHMS and key.public_key_use in {None, "sig"}
    except Exception:  # noqa: BLE001  PyJWT raises other errors than its own for values of the wrong type
        return None
    return PublishedKey(kid, str(algorithm), key.key) if is_for_tokens and isinstance(kid, str) and kid else None
