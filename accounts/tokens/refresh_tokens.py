"""Refresh tokens as bytes: how one is spelled, and how each generation follows from the one before.

    authrt_<base64url of: uuid (16 bytes), generation (4), secret (32), checksum (8)>

The first secret of a session is random. Each later one is the HMAC-SHA-256, under a server key, of the one
before it, bound to the session and to the generation: who holds generation n can ask this service, and only
this service, for n + 1. The database keeps the SHA-256 of the current secret, from which no secret follows.

The checksum is an HMAC under another server key. It refuses a mistyped token without a query, and an invented
one too: only a token that this service once issued makes it walk a chain, and that ends the session walked,
so nobody can have it walk twice.

Both keys are derived from SECRET_KEY. Where that is replaced, the old one belongs in SECRET_KEY_FALLBACKS for
as long as refresh tokens live; otherwise everybody has to sign in again. A chain is walked under one key: a token
that was spent before the key was replaced is refused, and does not end its session.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

from accounts.errors import RefreshTokenUnknown

PREFIX = "authrt_"
"""Fixed, so that secret scanners can tell what they found."""

_SECRET_LENGTH = 32
_CHECKSUM_LENGTH = 8
_BODY_LENGTH = 16 + 4 + _SECRET_LENGTH
# 60 bytes are 80 characters with none to spare: there is one spelling of each token.
_TEXT_LENGTH = len(PREFIX) + (_BODY_LENGTH + _CHECKSUM_LENGTH) * 4 // 3


class RefreshSecret(NamedTuple):
    """One generation of one session's refresh token."""

    session_id: UUID
    generation: int
    secret: bytes

    def __repr__(self) -> str:
        return f"RefreshSecret(session_id={self.session_id}, generation={self.generation})"

    @property
    def digest(self) -> bytes:
        """What the database keeps of it."""
        return hashlib.sha256(self.secret).digest()


def first_generation(session_id: UUID) -> RefreshSecret:
    """Draw the secret that a session starts with: 256 random bits."""
    return RefreshSecret(session_id, 0, secrets.token_bytes(_SECRET_LENGTH))


def successor(current: RefreshSecret) -> RefreshSecret:
    """Compute the next generation; the same one however often it is asked for."""
    return _walk_chain(current, current.generation + 1, _chain_key(settings.SECRET_KEY))


def descendant(ancestor: RefreshSecret, *, generation: int, digest: bytes) -> RefreshSecret | None:
    """Walk forward from `ancestor` to `generation`; None where that does not lead to `digest`.

    It leads there for a token that was once issued, and for no invented one.
    """
    for server_key in _server_keys():
        candidate = _walk_chain(ancestor, generation, _chain_key(server_key))
        if hmac.compare_digest(candidate.digest, digest):
            return candidate
    return None


def encode(token: RefreshSecret) -> str:
    """Spell a refresh token as the client holds it."""
    body = token.session_id.bytes + token.generation.to_bytes(4) + token.secret
    checksum = _checksum(body, settings.SECRET_KEY)
    return PREFIX + urlsafe_b64encode(body + checksum).decode()


def parse(text: str) -> RefreshSecret:
    """Read a refresh token, asking no database.

    Raises RefreshTokenUnknown for everything that this service did not spell.
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
    if not any(hmac.compare_digest(checksum, _checksum(body, key)) for key in _server_keys()):
        raise RefreshTokenUnknown
    return RefreshSecret(UUID(bytes=body[:16]), int.from_bytes(body[16:20]), body[20:])


def _server_keys() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def _chain_key(server_key: str) -> bytes:
    return hmac.digest(server_key.encode(), b"accounts.refresh_tokens.chain", "sha256")


def _checksum(body: bytes, server_key: str) -> bytes:
    key = hmac.digest(server_key.encode(), b"accounts.refresh_tokens.checksum", "sha256")
    return hmac.digest(key, body, "sha256")[:_CHECKSUM_LENGTH]


def _walk_chain(start: RefreshSecret, generation: int, key: bytes) -> RefreshSecret:
    secret, session_bytes = start.secret, start.session_id.bytes
    for next_generation in range(start.generation + 1, generation + 1):
        secret = hmac.digest(key, secret + session_bytes + next_generation.to_bytes(4), "sha256")
    return RefreshSecret(start.session_id, generation, secret)
