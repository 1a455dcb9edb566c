"""The hasher for new passwords: Argon2id with the parameters that OWASP recommends."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class OwaspArgon2idHasher(Argon2PasswordHasher):
    """Argon2id (RFC 9106) with 19 MiB of memory, two iterations and one thread.

    These are the parameters of the OWASP Password Storage Cheat Sheet.
    """

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1
