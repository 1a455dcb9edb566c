"""Usernames and e-mail addresses: one spelling to show, one key that no two accounts share."""

import unicodedata

from django.core.exceptions import ValidationError

USERNAME_LENGTH = 150
EMAIL_LENGTH = 254
_PUNCTUATION = frozenset("._-+")
_MAX_INPUT_LENGTH = 3 * EMAIL_LENGTH
# Default_Ignorable_Code_Point of the Unicode Character Database, as far as these are letters and marks:
# nobody sees them, so two names could look the same.
_INVISIBLE_RANGES = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)
_INVISIBLE = frozenset(chr(code) for first, last in _INVISIBLE_RANGES for code in range(first, last + 1))


def normalize(text: str) -> str:
    """Give the spelling that is stored and shown: without outer blanks, in Unicode's form NFKC.

    What is too long to be a name is left as it is: normalising takes time that grows with its square.
    """
    if len(text) > _MAX_INPUT_LENGTH:
        return text
    return unicodedata.normalize("NFKC", text).strip()


def comparison_key(text: str) -> str:
    """Give what two spellings of one name have in common, whatever their case and form.

    This is the compatibility caseless match of the Unicode Standard (section 3.13, D147), in its composed form.
    """
    if len(text) > _MAX_INPUT_LENGTH:
        return text
    folded = unicodedata.normalize("NFD", normalize(text)).casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", folded).casefold())


def validate_fullname(text: str) -> None:
    """Refuse control characters: a name is one line wherever it is shown.

    Raises django.core.exceptions.ValidationError.
    """
    if any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in text):
        raise ValidationError("A full name is one line without control characters.", code="fullname_characters")


def validate_email_address(text: str) -> None:
    """Refuse control characters, and the quotes that would allow them (RFC 5321 section 4.1.2).

    Raises django.core.exceptions.ValidationError.
    """
    if '"' in text or any(unicodedata.category(char)[0] == "C" for char in text):
        raise ValidationError(
            "An e-mail address has no quotes and no control characters.", code="email_characters"
        )


def validate_username(text: str) -> None:
    """Allow letters, marks and digits of any script, and `. _ - +`.

    No `@`: a username must never stand for another's e-mail address. No blanks and no invisible
    characters: two names that look the same would be two accounts.

    Raises django.core.exceptions.ValidationError.
    """
    major_categories = [unicodedata.category(char)[0] for char in text]
    if not all(
        char in _PUNCTUATION or (major in "LMN" and char not in _INVISIBLE)
        for char, major in zip(text, major_categories, strict=True)
    ):
        raise ValidationError(
            "A username consists of letters, digits and the characters . _ - + (no blanks, no @).",
            code="username_characters",
        )
    if text and not {"L", "N"}.intersection(major_categories):
        raise ValidationError("A username has at least one letter or digit.", code="username_blank")
