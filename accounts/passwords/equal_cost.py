"""Make every failed password check cost the same, whichever hash the account has, and whether it exists.

Imported hashes may take ten times as long as a hash of this service, or a tenth. A failed check therefore does
the work of one new hash, and of the most expensive hash of each kind that imports have stored (`PasswordCost`).
When no user has an imported hash any more, a failed check costs one new hash.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import bcrypt
from argon2.low_level import Type, hash_secret
from django.contrib.auth.hashers import make_password

from accounts.models import PasswordCost, User
from accounts.models.password_verification import imported_cost
from accounts.passwords.hashers import BCRYPT_PASSWORD_LENGTH, ImportedScryptHasher
from accounts.values.password_hashes import (
    MAX_TOTAL_MILLISECONDS,
    CostlyHash,
    HashCost,
    estimate_milliseconds,
)
from accounts.values.passwords import password_candidates

_SALT = b"salt of no account"
_BCRYPT_SALT = "$2b${:02}$" + "." * 22
_DIGEST_LENGTH = 32  # bytes
_ARGON2_TYPES = {"argon2id": Type.ID, "argon2i": Type.I, "argon2d": Type.D}


def spend_remaining(encoded: str | None, password: str) -> None:
    """Do the work that other accounts' hashes would have cost, after a failed check of a typed password.

    `encoded` is the hash that was checked; None if the user does not exist and nothing was hashed.
    """
    own = imported_cost(encoded or "")
    amounts = PasswordCost.objects.amounts()
    if encoded is None or own is not None:
        for candidate in password_candidates(password):
            make_password(candidate)
    if own is not None and amounts.get(own.kind, 0) < own.amount:
        # The hash was neither imported by this service nor present when the costs were introduced.
        PasswordCost.objects.remember([own])
    for kind, amount in amounts.items():
        spent = own.amount if own is not None and own.kind == kind else 0
        if amount > spent:
            _spend(kind, amount - spent, password.encode())


class ImportBudget:
    """Limits the work of a failed sign-in, to which every kind of imported hash adds.

    Create one in the transaction that stores the hashes, after locking out other imports.
    """

    def __init__(self) -> None:
        """Begin with the costs of the hashes that are stored."""
        self._amounts = PasswordCost.objects.amounts()

    def add(self, encoded: str) -> None:
        """Add the cost of a hash. Raises CostlyHash if the limit would be exceeded; nothing is added then."""
        cost = imported_cost(encoded)
        if cost is None or cost.amount <= self._amounts.get(cost.kind, 0):
            return
        amounts = {**self._amounts, cost.kind: cost.amount}
        if sum(estimate_milliseconds(amounts).values()) > MAX_TOTAL_MILLISECONDS:
            present, added = map(_describe_costs, (self._amounts, {cost.kind: cost.amount}))
            message = f"at most {MAX_TOTAL_MILLISECONDS} ms for the costliest imported hash of every kind together"
            raise CostlyHash(f"{message}; present: {present}; this hash: {added}")
        self._amounts = amounts


def remember(users: Iterable[User]) -> None:
    """Store the costs of imported hashes, in the transaction that stores the hashes."""
    PasswordCost.objects.remember(_imported_costs(user.password for user in users))


def forget() -> None:
    """Delete the costs of hashes that no user has any more. If there are costs, all users are read."""
    PasswordCost.objects.forget(_imported_costs(_stored_hashes()))


def _describe_costs(costs: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {milliseconds} ms" for name, milliseconds in estimate_milliseconds(costs).items())


def _imported_costs(hashes: Iterable[str]) -> Iterator[HashCost]:
    return (cost for encoded in hashes if (cost := imported_cost(encoded)) is not None)


def _stored_hashes() -> Iterator[str]:
    return User.objects.values_list("password", flat=True).iterator()


def _spend(kind: str, amount: int, password: bytes) -> None:
    algorithm, *parameters = kind.split("$")
    if algorithm == "bcrypt":
        _spend_bcrypt(amount, password)
    elif algorithm == "scrypt":
        n, r = map(int, parameters)
        hashlib.scrypt(password, salt=_SALT, n=n, r=r, p=amount, maxmem=ImportedScryptHasher.maxmem)
    elif algorithm == "argon2":
        _spend_argon2(*parameters, password=password)
    else:
        hashlib.pbkdf2_hmac(algorithm.removeprefix("pbkdf2_"), password, _SALT, amount)


def _spend_bcrypt(amount: int, password: bytes) -> None:
    # bcrypt does a power of two of work: one hash for each power in the sum.
    for rounds in range(amount.bit_length()):
        if amount >> rounds & 1:
            bcrypt.hashpw(password[:BCRYPT_PASSWORD_LENGTH], _BCRYPT_SALT.format(rounds).encode())


def _spend_argon2(variety: str, version: str, memory: str, passes: str, lanes: str, *, password: bytes) -> None:  # noqa: PLR0913  the parameters of Argon2
    hash_secret(
        password,
        _SALT,
        time_cost=int(passes),
        memory_cost=int(memory),
        parallelism=int(lanes),
        hash_len=_DIGEST_LENGTH,
        type=_ARGON2_TYPES[variety],
        version=int(version),
    )
