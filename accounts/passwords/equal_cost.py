"""Make every failed password check cost the same, whichever hash the account has, and whether it exists.

Imported hashes may take ten times as long as a hash of this service, or a tenth. A failed check therefore does
the work of one new hash, and of the most expensive hash of each kind that imports have stored (`PasswordCost`).
When no user has an imported hash any more, a failed check costs one new hash.
"""

import hashlib
from collections.abc import Iterable, Iterator

import bcrypt
from argon2.low_level import Type, hash_secret
from django.contrib.auth.hashers import Argon2PasswordHasher, get_hasher, identify_hasher, make_password

from accounts.models import PasswordCost, User
from accounts.passwords.hashers import BCRYPT_PASSWORD_LENGTH, ImportedScryptHasher
from accounts.values.password_hashes import HashCost, argon2_kind, parse_cost

_SALT = b"salt of no account"
_BCRYPT_SALT = "$2b${:02}$" + "." * 22
_DIGEST_LENGTH = 32  # bytes
_ARGON2_TYPES = {"argon2id": Type.ID, "argon2i": Type.I, "argon2d": Type.D}


def spend_remaining(encoded: str | None, password: str) -> None:
    """Do the work that other accounts' hashes would have cost, after a failed check of a password.

    `encoded` is the hash that was checked; None if the user does not exist, and one new hash was computed instead.
    """
    own = imported_cost(encoded or "")
    amounts = dict(PasswordCost.objects.values_list("kind", "amount"))
    if own is not None:
        make_password(password)
        if amounts.get(own.kind, 0) < own.amount:
            # The hash was neither imported by this service nor present when the costs were introduced.
            PasswordCost.objects.remember([own])
    for kind, amount in amounts.items():
        spent = own.amount if own is not None and own.kind == kind else 0
        if amount > spent:
            _spend(kind, amount - spent, password.encode())


def remember(users: Iterable[User]) -> None:
    """Store the costs of imported hashes, in the transaction that stores the hashes."""
    PasswordCost.objects.remember(_imported_costs(user.password for user in users))


def forget() -> None:
    """Delete the costs of hashes that no user has any more. If there are costs, all users are read."""
    PasswordCost.objects.forget(_imported_costs(_stored_hashes()))


def imported_cost(encoded: str) -> HashCost | None:
    """Return the cost of a hash; None if it is up to date, unusable or cannot be verified."""
    try:
        cost = parse_cost(encoded)
        identify_hasher(encoded)
    except ValueError:
        return None
    return None if cost.kind == _current_kind() else cost


def _imported_costs(hashes: Iterable[str]) -> Iterator[HashCost]:
    return (cost for encoded in hashes if (cost := imported_cost(encoded)) is not None)


def _stored_hashes() -> Iterator[str]:
    return User.objects.values_list("password", flat=True).iterator()


def _current_kind() -> str:
    hasher = get_hasher()
    if not isinstance(hasher, Argon2PasswordHasher):
        return str(hasher.algorithm)
    params = hasher.params()
    return argon2_kind("argon2id", params.version, params.memory_cost, params.time_cost, params.parallelism)


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
