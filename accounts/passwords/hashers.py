"""Hashers: Argon2id with the parameters that OWASP recommends for new passwords, and others for imported ones."""

import base64
import platform
import re
from typing import Any

import bcrypt
from django.contrib.auth.hashers import Argon2PasswordHasher, BCryptPasswordHasher, ScryptPasswordHasher
from nacl.exceptions import InvalidkeyError
from nacl.pwhash import argon2id

from accounts.values.password_hashes import MAX_SCRYPT_MEMORY

BCRYPT_PASSWORD_LENGTH = 72
"""In bytes. bcrypt hashes no more of a password."""

# libsodium has vector code for Argon2 only here. Elsewhere its code is as plain as that of argon2-cffi, which
# reuses the memory and so has no page faults.
_LIBSODIUM_MACHINES = frozenset({"amd64", "x86_64"})
# What BasePasswordHasher.salt returns: read as base64, the 16 bytes that libsodium requires of a new salt.
_GENERATED_SALT = re.compile(r"[A-Za-z0-9]{22}")
# At least 16 bytes, and at most as many as libsodium accepts in a hash with a digest of 32 bytes.
_SALT = r"[A-Za-z0-9+/]{22,51}"


class OwaspArgon2idHasher(Argon2PasswordHasher):
    """Argon2id (RFC 9106) with 19 MiB of memory, two iterations and one thread.

    These are the parameters of the OWASP Password Storage Cheat Sheet. On x86-64 processors, libsodium computes
    the hashes, otherwise argon2-cffi. Each verifies the hashes of the other.

    A failed sign-in of an unknown user computes a new hash. It must take as long as a verification, so both use
    the same implementation.
    """

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1

    def __init__(self, machine: str | None = None) -> None:
        """`machine` is the type of the processor, as in `platform.machine()`; by default that of this one."""
        super().__init__()
        self._uses_libsodium = (machine or platform.machine()).lower() in _LIBSODIUM_MACHINES
        params = self.params()
        costs = f"m={params.memory_cost},t={params.time_cost},p={params.parallelism}"
        self._prefix = f"{self.algorithm}$argon2id$v={params.version}${costs}$"
        digest = len(_base64(bytes(params.hash_len)))
        self._up_to_date = re.compile(rf"{re.escape(self._prefix)}{_SALT}\$[A-Za-z0-9+/]{{{digest}}}")

    def encode(self, password: str, salt: str) -> str:
        """Return the encoded hash. A salt that `salt()` did not generate is hashed by argon2-cffi."""
        if not self._uses_libsodium or _GENERATED_SALT.fullmatch(salt) is None:
            return super().encode(password, salt)
        params = self.params()
        salt_bytes = base64.b64decode(salt + "==")
        memory = params.memory_cost * 1024
        digest = argon2id.kdf(params.hash_len, password.encode(), salt_bytes, params.time_cost, memory)
        return f"{self._prefix}{_base64(salt_bytes)}${_base64(digest)}"

    def decode(self, encoded: str) -> dict[str, Any]:
        """Return the parts of an encoded hash. The salt is in base64, because it need not be text."""
        return {**super().decode(encoded), "salt": encoded.split("$")[-2]}

    def must_update(self, encoded: str) -> bool:
        """Return whether a hash has other parameters or lengths than those of new ones."""
        return self._up_to_date.fullmatch(encoded) is None

    def verify(self, password: str, encoded: str) -> bool:
        """Return whether the hash is that of the password. Raises ValueError if the hash is malformed."""
        if not self._uses_libsodium or self.must_update(encoded):
            return super().verify(password, encoded)
        try:
            return argon2id.verify(encoded.removeprefix("argon2").encode(), password.encode())
        except InvalidkeyError:
            return False


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


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
