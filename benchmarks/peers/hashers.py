"""The password hasher of the peers."""

from django.contrib.auth.hashers import Argon2PasswordHasher

from accounts.passwords.hashers import OwaspArgon2idHasher


class SameCostHasher(Argon2PasswordHasher):
    """Django's hasher, which uses argon2-cffi, with the parameters of this service."""

    memory_cost = OwaspArgon2idHasher.memory_cost
    time_cost = OwaspArgon2idHasher.time_cost
    parallelism = OwaspArgon2idHasher.parallelism
