"""Hashers: Argon2id with the parameters that OWASP recommends for new passwords, and others for imported ones."""

from typing import Any

import bcrypt
from django.contrib.auth.hashers import Argon2PasswordHasher, BCryptPasswordHasher, ScryptPasswordHasher

from accounts.values.password_hashes import MAX_SCRYPT_MEMORY

BCRYPT_PASSWORD_LENGTH = 72
"""In bytes. bcrypt hashes no more of a password."""


class OwaspArgon2idHasher(Argon2PasswordHasher):
    """Argon2id (RFC 9106) with 19 MiB of memory, two iterations and one thread.

    These are the parameters of the OWASP Password Storage Cheat Sheet.
    """

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1


class ImportedBcryptHasher(BCryptPasswordHasher):
    """bcrypt without a digest before it, for imported hashes only.

    The hash of a longer password was made of its first 72 bytes, so only these can be compared. The sign-in then
    hashes the whole password with Argon2id.
    """

    def encode(self, password: str, salt: Any) -> str:
        """Return the encoded hash. Django's hasher raises ValueError for longer passwords since bcrypt 5."""
        digest = bcrypt.hashpw(password.encode()[:BCRYPT_PASSWORD_LENGTH], salt)
        return f"{self.algorithm}${digest.decode('ascii')}"


class ImportedScryptHasher(ScryptPasswordHasher):
    """scrypt for imported hashes. It may use more memory than the 32 MiB to which OpenSSL limits it by default."""

    maxmem = 2 * MAX_SCRYPT_MEMORY
