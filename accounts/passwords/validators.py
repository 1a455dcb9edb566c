"""Rules for new passwords beyond Django's own (NIST SP 800-63B section 3.1.1)."""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from django.core.exceptions import ImproperlyConfigured, ValidationError

from accounts.conf import AuthSettings, auth_settings
from accounts.defaults import MIN_PASSWORD_LENGTH
from accounts.models import DEFAULT_ROLE

MAX_PASSWORD_LENGTH = 128
"""The longest password, in characters; a longer one is refused before it is hashed."""

COMMON_WORDS = ("password", "passwort", "passwd", "administrator", "admin", "moderator", "welcome", DEFAULT_ROLE)
"""Words that stand for a password or a role wherever people sign in."""

_MIN_WORD_LENGTH = 4  # below, words are parts of too many others
_MIN_OTHER_CHARACTERS = 3  # characters beside common words; the commonest of those passwords are in Django's list
_LETTERS_FOR_DIGITS = str.maketrans("013457@$!", "oieastasi")
_DIGEST_LENGTH = 40


class MaximumLengthValidator:
    """Refuses passwords that would make hashing a way to keep the server busy."""

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError where the password is too long."""
        if len(password) > MAX_PASSWORD_LENGTH:
            raise ValidationError(
                f"This password is too long. It must contain at most {MAX_PASSWORD_LENGTH} characters.",
                code="password_too_long",
            )

    def get_help_text(self) -> str:
        """Say the rule to a person."""
        return f"Your password can contain at most {MAX_PASSWORD_LENGTH} characters."


class ContextWordsValidator:
    """Refuses passwords that are little else than words which anybody would guess here.

    The names of this service count for nothing: what is left without them must be as long as any password. They
    are the parts of AUTH_AUDIENCE, AUTH_ISSUER, PUBLIC_URL and AUTH_COOKIE_DOMAIN. COMMON_WORDS and the roles of
    AUTH_SIGNUP_ROLES are in many a password that is not bad: there something must be beside them. All are taken in
    any case and with the usual digits for letters.
    """

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError where too little is left."""
        settings, folded = auth_settings(), _fold(password[:MAX_PASSWORD_LENGTH])
        without_names = _remove_words(service_names(settings), folded)
        without_any = _remove_words(common_words(settings), without_names)
        if without_names != folded and len(without_names) < MIN_PASSWORD_LENGTH:
            raise ValidationError(
                f"This password is easily guessed here. Without the names of this service it must contain at "
                f"least {MIN_PASSWORD_LENGTH} characters.",
                code="password_of_context_words",
            )
        if without_any != folded and len(without_any) < _MIN_OTHER_CHARACTERS:
            raise ValidationError(
                f"This password is easily guessed here. Beside words like password, admin and user it must "
                f"contain at least {_MIN_OTHER_CHARACTERS} characters.",
                code="password_of_context_words",
            )

    def get_help_text(self) -> str:
        """Say the rule to a person."""
        return "In your password, the names of this service count for nothing, and words like password for little."


class BreachedPasswordValidator:
    """Refuses passwords whose SHA-1 is in the file that AUTH_BREACHED_PASSWORDS names; without one, none.

    The file is what Have I Been Pwned's downloader makes: a line for each, in ascending order. It is searched
    where it lies, in some forty steps, so it may have any size; and nothing of a password leaves this service.
    """

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError where it is listed, ImproperlyConfigured where the list cannot be read."""
        path = auth_settings().breached_passwords
        if not path or len(password) > MAX_PASSWORD_LENGTH:
            return
        # What the list is kept by: it protects nothing here.
        digest = hashlib.sha1(password.encode(errors="replace"), usedforsecurity=False).hexdigest().upper()
        if _file_contains(Path(path), digest.encode()):
            raise ValidationError(
                "This password has been found among those of a breach. Choose one that was never used.",
                code="password_breached",
            )

    def get_help_text(self) -> str:
        """Say the rule to a person."""
        return "Your password must not be among those that were found in breaches."


@lru_cache(maxsize=8)
def service_names(settings: AuthSettings) -> tuple[str, ...]:
    """List the parts of the service's names and addresses."""
    names = " ".join((settings.issuer, settings.public_url, settings.cookie_domain, *settings.audience))
    return _longest_first(part for part in re.split(r"[\W_]+", names) if not part.isdigit())


@lru_cache(maxsize=8)
def common_words(settings: AuthSettings) -> tuple[str, ...]:
    """List the words that stand for a password or a role."""
    return _longest_first((*settings.signup_roles, *COMMON_WORDS))


def _longest_first(words: Iterable[str]) -> tuple[str, ...]:
    """Give them plain, the longest first: some are parts of others."""
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
    """Find the first line that is not before the digest, by halves."""
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
    """Read the first line that begins there or later; nothing at the end of the file."""
    file.seek(max(offset - 1, 0))
    if offset:
        file.readline()
    return file.readline()[:_DIGEST_LENGTH].upper()
