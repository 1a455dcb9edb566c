"""Encode, parse and derive refresh tokens.

A refresh token is an opaque string:

    authrt_<base64url of: uuid (16 bytes), generation (4), secret (32), checksum (8)>

The first secret of a session is random. Each later secret is the HMAC-SHA-256, under a server key, of the previous
secret, the session and the generation. The holder of generation n can therefore obtain generation n + 1 from this
service, and from no other source. The database stores the SHA-256 of the current secret, from which no secret can
be derived.

The checksum is an HMAC under a second server key. It rejects mistyped and invented tokens without a query. Only a
token that this service issued gets as far as walking a chain, and reuse ends that session, so that an attacker
cannot cause the cost of a walk more than once per session.

Both server keys are derived from SECRET_KEY. After replacing SECRET_KEY, keep the old value in
SECRET_KEY_FALLBACKS for the lifetime of refresh tokens, otherwise every user has to sign in again. A token is
encoded under the key that its secret was derived with, so that machines whose SECRET_KEY differs during a
replacement return the same successor to a retry. A chain is walked under one key: a token that was spent before
the replacement is refused, but does not end its session.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache
from typing import NamedTuple
from uuid import UUID

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from django.conf import settings

from accounts.errors import RefreshTokenUnknown

PREFIX = "authrt_"
"""A fixed prefix, so that secret scanners recognize a leaked token."""

_SECRET_LENGTH = 32
_CHECKSUM_LENGTH = 8
_BODY_LENGTH = 16 + 4 + _SECRET_LENGTH
# 60 bytes are exactly 80 base64 characters without unused bits, so that each token has only one encoding.
_TEXT_LENGTH = len(PREFIX) + (_BODY_LENGTH + _CHECKSUM_LENGTH) * 4 // 3


class RefreshSecret(NamedTuple):
    """The decoded content of a refresh token: one generation of one session.

    `fallback` is the one of SECRET_KEY_FALLBACKS that the token was issued under, or None for SECRET_KEY.
    """

    session_id: UUID
    generation: int
    secret: bytes
    fallback: str | None = None

    def __repr__(self) -> str:
        return f"RefreshSecret(session_id={self.session_id}, generation={self.generation})"

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the secret, which the database stores."""
        return hashlib.sha256(self.secret).digest()


def first_generation(session_id: UUID) -> RefreshSecret:
    """Return the first secret of a session: 256 random bits."""
    return RefreshSecret(session_id, 0, secrets.token_bytes(_SECRET_LENGTH))


def successor(current: RefreshSecret) -> RefreshSecret:
    """Return the secret of the next generation. It is derived with HMAC, so that a retry gets the same secret."""
    return _walk_chain(current, current.generation + 1, None)


def descendant(ancestor: RefreshSecret, *, generation: int, digest: bytes) -> RefreshSecret | None:
    """Return the secret of `generation` derived from `ancestor`, or None if its digest is not `digest`.

    The digests match only if `ancestor` was issued for this session: an invented secret leads to another digest.
    """
    for fallback in _accepted_keys():
        candidate = _walk_chain(ancestor, generation, fallback)
        if hmac.compare_digest(candidate.digest, digest):
            return candidate
    return None


def encode(token: RefreshSecret) -> str:
    """Return a refresh token as the string that the client stores."""
    body = token.session_id.bytes + token.generation.to_bytes(4) + token.secret
    checksum = _checksum(body, token.fallback)
    return PREFIX + urlsafe_b64encode(body + checksum).decode()


def parse(text: str) -> RefreshSecret:
    """Decode a refresh token and verify its checksum, without a query.

    Raises RefreshTokenUnknown for any string that this service did not encode.
    """
    if len(text) != _TEXT_LENGTH or not text.isascii() or not text.startswith(PREFIX):
        raise RefreshTokenUnknown
    try:
        decoded = urlsafe_b64decode(text.removeprefix(PREFIX))
    except ValueError:
        raise RefreshTokenUnknown from None
    body, checksum = decoded[:_BODY_LENGTH], decoded[_BODY_LENGTH:]
    if len(checksum) != _CHECKSUM_LENGTH or PREFIX + urlsafe_b64encode(decoded).decode() != text:
        raise RefreshTokenUnknown
    for fallback in _accepted_keys():
        if hmac.compare_digest(checksum, _checksum(body, fallback)):
            return RefreshSecret(UUID(bytes=body[:16]), int.from_bytes(body[16:20]), body[20:], fallback)
    raise RefreshTokenUnknown


def _accepted_keys() -> list[str | None]:
    return [None, *settings.SECRET_KEY_FALLBACKS]


def _keyed(fallback: str | None, purpose: str) -> HMAC:
    """Return the HMAC under the server key for a purpose, which `_mac` copies for each message."""
    return _key_for(settings.SECRET_KEY if fallback is None else fallback, purpose)


# Deriving and scheduling the keys for every token took 4 % of the instructions of a refresh. An HMAC of the
# standard library takes half as long again to copy and finish as one of cryptography.
@cache
def _key_for(server_key: str, purpose: str) -> HMAC:
    key = hmac.digest(server_key.encode(), f"accounts.refresh_tokens.{purpose}".encode(), "sha256")
    return HMAC(key, hashes.SHA256())


def _mac(keyed: HMAC, message: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(message)
    return mac.finalize()


def _checksum(body: bytes, fallback: str | None) -> bytes:
    return _mac(_keyed(fallback, "checksum"), body)[:_CHECKSUM_LENGTH]


def _walk_chain(start: RefreshSecret, generation: int, fallback: str | None) -> RefreshSecret:
    secret, session_bytes, keyed = start.secret, start.session_id.bytes, _keyed(fallback, "chain")
    for next_generation in range(start.generation + 1, generation + 1):
        secret = _mac(keyed, secret + session_bytes + next_generation.to_bytes(4))
    return RefreshSecret(start.session_id, generation, secret, fallback)
