"""Parse the hashes of passwords, and reject those that cannot be verified or that cost too much to verify.

The formats are those of Django's hashers. A hash that no hasher could have written is rejected before it reaches
one: a hasher may raise an exception for it, or compute for hours.
"""

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil

# Each limit costs about a second on one core. Passwords are hashed one at a time, so that a costlier hash would
# delay every sign-in.
MAX_PBKDF2_ITERATIONS = 2_000_000
MAX_BCRYPT_ROUNDS = 14
MAX_SCRYPT_MEMORY = 128 * 1024 * 1024  # bytes: 128 * N * r
MAX_SCRYPT_WORK = 2**20  # N * r * p
MAX_ARGON2_MEMORY = 256 * 1024  # KiB
MAX_ARGON2_WORK = 1024 * 1024  # KiB, all passes together
MAX_ARGON2_LANES = 16

MAX_TOTAL_MILLISECONDS = 1000
"""The limit on the work of a failed sign-in, which is that of the costliest imported hash of each kind."""

# The work of one core in a millisecond, measured and rounded down: iterations of PBKDF2, 2**rounds of bcrypt,
# N * r * p of scrypt, KiB of Argon2 in all passes. An estimate from these is the same on every machine.
_PBKDF2_PER_MILLISECOND = 5000
_BCRYPT_PER_MILLISECOND = 17
_SCRYPT_PER_MILLISECOND = 2500
_ARGON2_PER_MILLISECOND = 1500

_MIN_BCRYPT_ROUNDS = 4
_DIGEST_LENGTHS = {"pbkdf2_sha256": 32, "pbkdf2_sha1": 20}  # bytes
_SCRYPT_DIGEST_LENGTH = 64
_MIN_ARGON2_SALT_LENGTH = 8
_NUMBER = r"([1-9][0-9]{0,18})"


class MalformedHash(ValueError):
    """The hash of a password cannot be verified with any password."""


class CostlyHash(ValueError):
    """The hash of a password costs too much to verify. The message states the limit."""


@dataclass(frozen=True, slots=True)
class HashCost:
    """What it costs to verify a hash: `amount` units of work of one kind.

    The time is proportional to `amount`. `kind` names the algorithm and the parameters to which it is not
    proportional.
    """

    kind: str
    amount: int


def parse_cost(encoded: str) -> HashCost:
    """Return the cost of verifying an encoded hash.

    Raises MalformedHash if the hash is in none of the supported formats, or CostlyHash if it exceeds a limit.
    """
    parse = _PARSERS.get(encoded.partition("$")[0])
    if parse is None:
        raise MalformedHash
    return parse(encoded)


def estimate_milliseconds(costs: Mapping[str, int]) -> dict[str, int]:
    """Return by algorithm how long the amounts of each kind take together, in milliseconds on a core of today."""
    totals: defaultdict[str, float] = defaultdict(float)
    for kind, amount in costs.items():
        algorithm, *parameters = kind.split("$")
        totals[algorithm] += _ESTIMATES[algorithm](amount, *parameters)
    return {algorithm: ceil(total) for algorithm, total in sorted(totals.items())}


def has_known_format(encoded: str) -> bool:
    """Return whether a hash names an algorithm that `parse_cost` supports."""
    return encoded.partition("$")[0] in _PARSERS


def highest_amounts(costs: Iterable[HashCost]) -> dict[str, int]:
    """Return the highest amount of each kind."""
    amounts: dict[str, int] = {}
    for cost in costs:
        amounts[cost.kind] = max(cost.amount, amounts.get(cost.kind, 0))
    return amounts


def _parse_pbkdf2(encoded: str) -> HashCost:
    algorithm, iterations, _salt, digest = _match(rf"(\w+)\${_NUMBER}\$([^$]+)\$([^$]+)", encoded)
    _require_base64(digest, _DIGEST_LENGTHS[algorithm])
    _limit(int(iterations), MAX_PBKDF2_ITERATIONS, "iterations")
    return HashCost(algorithm, int(iterations))


def _parse_bcrypt(encoded: str) -> HashCost:
    # The last characters of salt and digest carry fewer than six bits: others than these are never written.
    text = r"[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]"
    (rounds,) = _match(rf"\w+\$\$2[aby]\$([0-9]{{2}})\${text}", encoded)
    if int(rounds) < _MIN_BCRYPT_ROUNDS:
        raise MalformedHash
    _limit(int(rounds), MAX_BCRYPT_ROUNDS, "rounds")
    return HashCost("bcrypt", 2 ** int(rounds))


def _parse_scrypt(encoded: str) -> HashCost:
    work, _salt, block_size, parallelism, digest = _match(
        rf"scrypt\${_NUMBER}\$([^$]+)\${_NUMBER}\${_NUMBER}\$([^$]+)", encoded
    )
    n, r, p = int(work), int(block_size), int(parallelism)
    if n == 1 or n & (n - 1):  # not a power of two
        raise MalformedHash
    _require_base64(digest, _SCRYPT_DIGEST_LENGTH)
    _limit(128 * n * r, MAX_SCRYPT_MEMORY, "bytes of memory")
    _limit(n * r * p, MAX_SCRYPT_WORK, "as the product of its parameters")
    return HashCost(f"scrypt${n}${r}", p)


def _parse_argon2(encoded: str) -> HashCost:
    variety, version, memory, passes, lanes, salt, digest = _match(
        rf"argon2\$(argon2(?:id|i|d))\$v=(16|19)\$m={_NUMBER},t={_NUMBER},p={_NUMBER}\$([^$]+)\$([^$]+)", encoded
    )
    m, t, p = int(memory), int(passes), int(lanes)
    if m < 8 * p or len(_decode_base64(salt, padding=False)) < _MIN_ARGON2_SALT_LENGTH:  # RFC 9106 section 3.1
        raise MalformedHash
    _decode_base64(digest, padding=False)
    _limit(m, MAX_ARGON2_MEMORY, "KiB of memory")
    _limit(m * t, MAX_ARGON2_WORK, "KiB of memory in all passes together")
    _limit(p, MAX_ARGON2_LANES, "lanes")
    return HashCost(f"argon2${variety}${version}${m}${t}${p}", 1)


_PARSERS: dict[str, Callable[[str], HashCost]] = {
    "argon2": _parse_argon2,
    "bcrypt": _parse_bcrypt,
    "bcrypt_sha256": _parse_bcrypt,
    "pbkdf2_sha1": _parse_pbkdf2,
    "pbkdf2_sha256": _parse_pbkdf2,
    "scrypt": _parse_scrypt,
}


_ESTIMATES: dict[str, Callable[..., float]] = {
    "argon2": lambda amount, _type, _version, memory, passes, _lanes: (
        amount * int(memory) * int(passes) / _ARGON2_PER_MILLISECOND
    ),
    "bcrypt": lambda amount: amount / _BCRYPT_PER_MILLISECOND,
    "pbkdf2_sha1": lambda amount: amount / _PBKDF2_PER_MILLISECOND,
    "pbkdf2_sha256": lambda amount: amount / _PBKDF2_PER_MILLISECOND,
    "scrypt": lambda amount, n, r: amount * int(n) * int(r) / _SCRYPT_PER_MILLISECOND,
}


def _match(pattern: str, encoded: str) -> tuple[str, ...]:
    match = re.fullmatch(pattern, encoded, re.ASCII)
    if match is None or not (encoded.isascii() and encoded.isprintable()):
        raise MalformedHash
    return match.groups()


def _limit(value: int, maximum: int, unit: str) -> None:
    if value > maximum:
        raise CostlyHash(f"at most {maximum} {unit}")


def _require_base64(text: str, length: int) -> None:
    if len(_decode_base64(text, padding=True)) != length:
        raise MalformedHash


def _decode_base64(text: str, *, padding: bool) -> bytes:
    """Return the decoded bytes. Raise MalformedHash unless a hasher would encode them to the same text."""
    padded = text if padding else text + "=" * (-len(text) % 4)
    try:
        decoded = base64.b64decode(padded, validate=True)
    except binascii.Error:
        raise MalformedHash from None
    if base64.b64encode(decoded).decode() != padded:
        raise MalformedHash
    return decoded
