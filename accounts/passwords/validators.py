"""Password validators: length, common and breached passwords, context words, the user's own names.

Each judges the normalized form of a password, which is the one that is hashed.

The rules follow NIST SP 800-63B section 3.1.1.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from django.contrib.auth import password_validation
from django.core.exceptions import ImproperlyConfigured, ValidationError

from accounts.conf import AuthSettings, auth_settings
from accounts.models import DEFAULT_ROLE
from accounts.values.passwords import MAX_PASSWORD_LENGTH, normalize_password

COMMON_WORDS = ("password", "passwort", "passwd", "administrator", "admin", "moderator", "welcome", DEFAULT_ROLE)
"""Words that mean a password, a role or a greeting at any sign-in, and that attackers therefore try first."""

_MIN_WORD_LENGTH = 4  # in characters; shorter words are part of too many other words
_MIN_OTHER_CHARACTERS = 3  # besides common words; CommonPasswordValidator rejects the likeliest of these
_LETTERS_FOR_DIGITS = str.maketrans("013457@$!", "oieastasi")
_DIGEST_LENGTH = 40


class MinimumLengthValidator:
    """Rejects passwords with fewer than AUTH_PASSWORD_MIN_LENGTH characters."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ValidationError if the password is too short."""
        self._with_current_minimum().validate(normalize_password(password), user)

    def get_help_text(self) -> str:
        """Return the rule as a sentence for forms."""
        return self._with_current_minimum().get_help_text()

    def _with_current_minimum(self) -> password_validation.MinimumLengthValidator:
        # Django keeps the instances of validators, so that the setting is read when it is used.
        return password_validation.MinimumLengthValidator(auth_settings().password_min_length)


class CommonPasswordValidator(password_validation.CommonPasswordValidator):
    """Rejects the 20,000 passwords that are most common."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ValidationError if the password is common."""
        super().validate(normalize_password(password), user)


class UserAttributeSimilarityValidator(password_validation.UserAttributeSimilarityValidator):
    """Rejects passwords that are similar to the user's own names."""

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ValidationError if the password is similar to a name of the user."""
        super().validate(normalize_password(password), user)


class MaximumLengthValidator:
    """Rejects passwords so long that hashing them would let an attacker exhaust the CPU."""

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError if the password has more than MAX_PASSWORD_LENGTH characters."""
        if len(normalize_password(password)) > MAX_PASSWORD_LENGTH:
            raise ValidationError(
                f"This password is too long. It must contain at most {MAX_PASSWORD_LENGTH} characters.",
                code="password_too_long",
            )

    def get_help_text(self) -> str:
        """Return the rule as a sentence for forms."""
        return f"Your password can contain at most {MAX_PASSWORD_LENGTH} characters."


class ContextWordsValidator:
    """Rejects passwords that consist mainly of words an attacker would try at this service.

    The names of this service are the parts of AUTH_AUDIENCE, AUTH_ISSUER, PUBLIC_URL and AUTH_COOKIE_DOMAIN. If a
    password contains one, the rest must meet the minimum length by itself. COMMON_WORDS and the roles of
    AUTH_SIGNUP_ROLES also occur in strong passwords: if a password contains one, the rest needs at least three
    characters. Words match in any case and with digits in place of letters ("p4ssw0rd").
    """

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError if too few characters remain besides service names and common words."""
        settings, folded = auth_settings(), _fold(normalize_password(password)[:MAX_PASSWORD_LENGTH])
        without_names = _remove_words(service_names(settings), folded)
        without_any = _remove_words(common_words(settings), without_names)
        minimum = settings.password_min_length
        if without_names != folded and len(without_names) < minimum:
            raise ValidationError(
                f"This password is too easy to guess. It must contain at least {minimum} characters "
                f"besides the names of this service.",
                code="password_of_context_words",
            )
        if without_any != folded and len(without_any) < _MIN_OTHER_CHARACTERS:
            raise ValidationError(
                f"This password is too easy to guess. It must contain at least {_MIN_OTHER_CHARACTERS} characters "
                f"besides common words such as password, admin and user.",
                code="password_of_context_words",
            )

    def get_help_text(self) -> str:
        """Return the rule as a sentence for forms."""
        return "Your password can't be mostly the name of this service or a common word such as password."


class BreachedPasswordValidator:
    """Rejects passwords whose SHA-1 hash is listed in the file AUTH_BREACHED_PASSWORDS, if one is configured.

    The file has the format of the Have I Been Pwned downloader: one hash a line, in ascending order. It can have
    any size, because a binary search on disk takes about forty steps. No part of a password leaves this service.
    """

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError if the password is listed, or ImproperlyConfigured if the list is unreadable."""
        path, password = auth_settings().breached_passwords, normalize_password(password)
        if not path or len(password) > MAX_PASSWORD_LENGTH:
            return
        # The list is indexed by SHA-1; this hash protects nothing.
        digest = hashlib.sha1(password.encode(errors="replace"), usedforsecurity=False).hexdigest().upper()
        if _file_contains(Path(path), digest.encode()):
            raise ValidationError(
                "This password has appeared in a data breach. Choose another one.",
                code="password_breached",
            )

    def get_help_text(self) -> str:
        """Return the rule as a sentence for forms."""
        return "Your password can't be one that has appeared in a data breach."


@lru_cache(maxsize=8)
def service_names(settings: AuthSettings) -> tuple[str, ...]:
    """Return the words in the names and URLs of this service, folded, longest first."""
    names = " ".join((settings.issuer, settings.public_url, settings.cookie_domain, *settings.audience))
    return _longest_first(part for part in re.split(r"[\W_]+", names) if not part.isdigit())


@lru_cache(maxsize=8)
def common_words(settings: AuthSettings) -> tuple[str, ...]:
    """Return COMMON_WORDS and the roles of AUTH_SIGNUP_ROLES, folded, longest first."""
    return _longest_first((*settings.signup_roles, *COMMON_WORDS))


def _longest_first(words: Iterable[str]) -> tuple[str, ...]:
    """Fold words and sort them longest first, because some words are part of others."""
    long_enough = {word for word in map(_fold, words) if len(word) >= _MIN_WORD_LENGTH}
    return tuple(sorted(long_enough, key=lambda word: (-len(word), word)))


def _remove_words(words: tuple[str, ...], folded: str) -> str:
    for word in words:
        folded = folded.replace(word, "")
    return folded


def _fold(text: str) -> str:
    return text.casefold().translate(_LETTERS_FOR_DIGITS)


def _file_contains(path: Path, digest: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return _contains_digest(file, digest)
    except OSError as error:
        raise ImproperlyConfigured(f"AUTH_BREACHED_PASSWORDS: {path} cannot be read: {error.strerror}.") from None


def _contains_digest(file: BinaryIO, digest: bytes) -> bool:
    """Return whether the file lists the digest. Bisect for the first line that does not sort before it."""
    low, high = 0, file.seek(0, 2)
    while low < high:
        middle = (low + high) // 2
        found = _read_digest(file, middle)
        if found and found < digest:
            low = middle + 1
        else:
            high = middle
    return _read_digest(file, low) == digest


def _read_digest(file: BinaryIO, offset: int) -> bytes:
    """Return the digest of the first line that starts at the offset or later; empty at the end of the file."""
    file.seek(max(offset - 1, 0))
    if offset:
        file.readline()
    return file.readline()[:_DIGEST_LENGTH].upper()
