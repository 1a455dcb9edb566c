"""Verify a typed password against a stored hash, in any Unicode form, and whatever the hash is.

`User.check_password` calls it, and so does every way to check a password.
"""

import logging
from functools import lru_cache
from typing import NamedTuple

from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    get_hasher,
    identify_hasher,
    is_password_usable,
    make_password,
    verify_password,
)

from accounts.values.password_hashes import HashCost, has_known_format, parse_cost
from accounts.values.passwords import password_candidates

logger = logging.getLogger("accounts.passwords")


class Verification(NamedTuple):
    """Whether a password is correct, and whether its hash should be replaced."""

    is_correct: bool
    is_outdated: bool


def verify(typed: str | None, encoded: str, user_id: int) -> Verification:
    """Return whether the typed password is that of the hash of a user.

    A hash that cannot be verified counts as that of another password, at the same cost, and is logged.
    """
    candidates = (None,) if typed is None else _candidates(typed, encoded)
    # All are verified, so that the cost does not depend on which of them is correct.
    normalized, *others = [_verify_candidate(candidate, encoded, user_id) for candidate in candidates]
    if any(result.is_correct for result in others):
        return Verification(is_correct=True, is_outdated=True)
    return normalized


def imported_cost(encoded: str) -> HashCost | None:
    """Return the cost of a hash; None if it is up to date, unusable or cannot be verified."""
    try:
        cost = parse_cost(encoded)
        identify_hasher(encoded)
    except ValueError:
        return None
    return None if _costs_a_new_hash(encoded, cost) else cost


def _candidates(typed: str, encoded: str) -> tuple[str, ...]:
    # An imported hash is that of the text that was typed, and may take a second: it is computed once only. Every
    # failed sign-in does this work, so that a second form would double the cost of all of them.
    return password_candidates(typed) if imported_cost(encoded) is None else (typed,)


def _costs_a_new_hash(encoded: str, cost: HashCost) -> bool:
    hasher = get_hasher()
    if isinstance(hasher, Argon2PasswordHasher) and cost.kind.startswith("argon2$"):
        # A hash of another length may be verified by the slower of two implementations, with the same parameters.
        return not hasher.must_update(encoded)
    return cost.kind == str(hasher.algorithm)


def _verify_candidate(password: str | None, encoded: str, user_id: int) -> Verification:
    try:
        if is_password_usable(encoded):
            _reject_unverifiable(encoded)
        return Verification(*verify_password(password, encoded))
    except Exception as error:  # noqa: BLE001  whatever a hasher raises for a malformed hash
        _log_unverifiable(user_id, type(error).__name__)
        make_password(password or "")
        return Verification(is_correct=False, is_outdated=False)


def _reject_unverifiable(encoded: str) -> None:
    """Raise ValueError if a hash is malformed, exceeds the limits on its cost, or has no hasher."""
    identify_hasher(encoded)
    if has_known_format(encoded):
        parse_cost(encoded)


@lru_cache(maxsize=1000)
def _log_unverifiable(user_id: int, error: str) -> None:
    """Log once per process that a user cannot sign in, so that guesses at the password do not fill the log."""
    message = "The password hash of a user cannot be verified. The user can reset the password."
    logger.error(message, extra={"user_id": user_id, "error": error})
