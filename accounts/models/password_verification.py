"""Verify a typed password against a stored hash, in any Unicode form, and whatever the hash is.

`User.check_password` calls it, and so does every way to check a password.
"""

import logging
from functools import lru_cache
from typing import NamedTuple

from django.contrib.auth.hashers import identify_hasher, is_password_usable, make_password, verify_password

from accounts.values.password_hashes import has_known_format, parse_cost
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
    candidates = (None,) if typed is None else password_candidates(typed)
    # All are verified, so that the cost does not depend on which of them is correct.
    normalized, *others = [_verify_candidate(candidate, encoded, user_id) for candidate in candidates]
    if any(result.is_correct for result in others):
        return Verification(is_correct=True, is_outdated=True)
    return normalized


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
