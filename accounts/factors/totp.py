"""Time-based one-time codes (TOTP, RFC 6238): SHA-1, six digits, 30 seconds, which every app supports."""

import logging
import re
import secrets
from base64 import b32encode
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import segno
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from accounts.conf import auth_settings
from accounts.factors import encryption
from accounts.models import Authenticator, User

logger = logging.getLogger("accounts.factors")

TIME_STEP = 30
"""Seconds for which a code is shown."""

_DIGITS = 6
_SECRET_LENGTH = 20  # bytes: the output of SHA-1, as RFC 4226 section 4 recommends
_DRIFT = 1  # time steps that the clock of a phone may be off, in either direction


class Provisioning(NamedTuple):
    """What an app needs to generate codes: the secret in base32, its otpauth URI, and that URI as a QR code."""

    secret: str
    uri: str
    qr_code: str

    def __repr__(self) -> str:
        return "Provisioning(...)"


def new_secret() -> bytes:
    """Return a random secret."""
    return secrets.token_bytes(_SECRET_LENGTH)


def provisioning(secret: bytes, user: User) -> Provisioning:
    """Return what the user's app needs for a secret. The QR code is an SVG image as a data URI."""
    issuer = urlsplit(auth_settings().public_url or auth_settings().issuer).hostname or auth_settings().issuer
    uri = _totp(secret).get_provisioning_uri(user.username, issuer)
    qr_code = segno.make(uri, error="m").svg_data_uri(scale=4, border=4, light="#fff", dark="#000")
    return Provisioning(b32encode(secret).decode(), uri, qr_code)


def store_secret(authenticator: Authenticator, secret: bytes) -> None:
    """Encrypt the secret of an authenticator, and set it. The caller saves the row."""
    authenticator.encrypted_secret = encryption.encrypt(secret, _context(authenticator))


def use_code(authenticator: Authenticator, code: str, at: datetime) -> bool:
    """Return whether a code is the authenticator's at a time, and mark it as used. A code works once.

    Codes of one time step before and after are accepted, because the clock of a phone may be off.
    """
    digits = re.sub(r"[\s-]", "", code)
    if re.fullmatch(rf"[0-9]{{{_DIGITS}}}", digits, re.ASCII) is None:
        return False
    try:
        secret, is_current = encryption.decrypt(bytes(authenticator.encrypted_secret), _context(authenticator))
    except encryption.DecryptionFailed:
        logger.error(  # noqa: TRY400  the traceback would say nothing more
            "The secret of authenticator %s cannot be decrypted. Add the SECRET_KEY under which it was stored to "
            "SECRET_KEY_FALLBACKS, or reset the factors of user %s.",
            authenticator.pk, authenticator.owner_id,
        )  # fmt: skip
        return False
    time_step = _matching_time_step(secret, digits, int(at.timestamp()) // TIME_STEP)
    if time_step is None or not Authenticator.objects.consume(authenticator, time_step, at):
        return False
    if not is_current:
        store_secret(authenticator, secret)
        # Not `save`, which fails if the authenticator was removed in between.
        Authenticator.objects.filter(pk=authenticator.pk).update(encrypted_secret=authenticator.encrypted_secret)
    return True


def _matching_time_step(secret: bytes, digits: str, current: int) -> int | None:
    totp, matching = _totp(secret), None
    # Each code is compared, so that the time of the comparison does not depend on which one matches.
    for time_step in range(current - _DRIFT, current + _DRIFT + 1):
        if bytes_eq(totp.generate(time_step * TIME_STEP), digits.encode()):
            matching = time_step
    return matching


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, _DIGITS, SHA1(), TIME_STEP)  # noqa: S303  the algorithm of RFC 6238 that apps support


def _context(authenticator: Authenticator) -> str:
    # A ciphertext that is copied to another row, or to another user, cannot be decrypted there.
    return f"totp {authenticator.owner_id} {authenticator.pk}"
