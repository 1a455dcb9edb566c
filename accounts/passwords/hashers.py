"""How passwords are hashed."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class OwaspArgon2idHasher(Argon2PasswordHasher):
    """Argon2id (RFC 9106) at the setting of OWASP's Password Storage Cheat Sheet: 19 MiB, two passes, one lane."""

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1
