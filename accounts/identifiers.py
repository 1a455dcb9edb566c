"""Usernames and e-mail addresses: one spelling to show, one key that no two accounts share."""

import unicodedata

from django.core.exceptions import ValidationError

USERNAME_LENGTH = 150
EMAIL_LENGTH = 254
_PUNCTUATION = frozenset("._-+")


def normalize(text: str) -> str:
    """Give the spelling that is stored and shown: without outer blanks, in Unicode's form NFKC."""
    return unicodedata.normalize("NFKC", text).strip()


def comparison_key(text: str) -> str:
    """Give what two spellings of one name have in common, whatever their case and form.

    This is toNFKC_Casefold of the Unicode Standard, section 3.13, without its removal of ignorable
    characters: usernames do not hold them.
    """
    folded = unicodedata.normalize("NFKC", normalize(text).casefold())
    # Folding can undo composition, and composition can be folded again: the second pass is stable.
    return unicodedata.normalize("NFKC", folded.casefold())


def validate_fullname(text: str) -> None:
    """Refuse control characters: a name is one line wherever it is shown.

    Raises django.core.exceptions.ValidationError.
    """
    if any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in text):
        raise ValidationError("A full name is one line without control characters.", code="fullname_characters")


def validate_username(text: str) -> None:
    """Allow letters, marks and digits of any script, and `. _ - +`.

    No `@`: a username must never stand for another's e-mail address. No blanks and no invisible
    characters: two names that look the same would be two accounts.

    Raises django.core.exceptions.ValidationError.
    """
    if not all(char in _PUNCTUATION or unicodedata.category(char)[0] in "LMN" for char in text):
        raise ValidationError(
            "A username consists of letters, digits and the characters . _ - + (no blanks, no @).",
            code="username_characters",
        )
