"""WebAuthn challenges: signed, valid for a few minutes, bound to a purpose, and accepted once.

A challenge contains a random nonce, the time of its issue, and an HMAC under SECRET_KEY over both and its binding.
Nothing is stored when it is issued, because anyone may request one. An answered challenge is stored until it
expires.
"""

import hashlib
import secrets
import struct
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import UsedChallenge

LIFETIME = timedelta(minutes=5)

_NONCE_LENGTH = 16
_TIME = struct.Struct(">Q")  # seconds since the epoch
_SIGNED_LENGTH = _NONCE_LENGTH + _TIME.size


def issue(binding: str, at: datetime) -> bytes:
    """Return a challenge that can be answered only for the same `binding`, such as a purpose and a session."""
    signed = secrets.token_bytes(_NONCE_LENGTH) + _TIME.pack(int(at.timestamp()))
    return signed + _mac(signed, binding, settings.SECRET_KEY)


def is_valid(challenge: bytes, binding: str, at: datetime) -> bool:
    """Return whether the challenge was issued for `binding` less than LIFETIME ago."""
    signed, mac = challenge[:_SIGNED_LENGTH], challenge[_SIGNED_LENGTH:]
    server_keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if len(signed) != _SIGNED_LENGTH:
        return False
    if not any(constant_time_compare(mac, _mac(signed, binding, server_key)) for server_key in server_keys):
        return False
    return at < _expires_at(challenge)


def use(challenge: bytes) -> bool:
    """Mark a valid challenge as answered, and return False if it was answered before."""
    digest = hashlib.sha256(challenge).hexdigest()
    _, is_first = UsedChallenge.objects.get_or_create(
        digest=digest, defaults={"expires_at": _expires_at(challenge)}
    )
    return is_first


def _expires_at(challenge: bytes) -> datetime:
    (issued_at,) = _TIME.unpack(challenge[_NONCE_LENGTH:_SIGNED_LENGTH])
    return datetime.fromtimestamp(issued_at, UTC) + LIFETIME


def _mac(signed: bytes, binding: str, server_key: str | bytes) -> bytes:
    message = signed + binding.encode()
    return salted_hmac("accounts.challenges", message, server_key, algorithm="sha256").digest()
