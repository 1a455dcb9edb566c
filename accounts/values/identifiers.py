"""Normalize and validate usernames, email addresses and full names; compute the key that makes a name unique."""

import unicodedata

from django.core.exceptions import ValidationError

USERNAME_LENGTH = 150
EMAIL_LENGTH = 254
_PUNCTUATION = frozenset("._-+")
_MAX_INPUT_LENGTH = 3 * EMAIL_LENGTH
# The letters and marks among the Default_Ignorable_Code_Points of the Unicode Character Database. They are not
# rendered: with them, two different usernames could look the same.
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
    """Return a name as it is stored and displayed: in Unicode form NFKC, without leading or trailing whitespace.

    Text too long to be a name is returned unchanged, because the time to normalize grows with the square of the
    length.
    """
    if len(text) > _MAX_INPUT_LENGTH:
        return text
    return unicodedata.normalize("NFKC", text).strip()


def comparison_key(text: str) -> str:
    """Return the key of a name, which is the same for all its variants in case and Unicode form.

    Two keys are equal where the Unicode Standard defines a compatibility caseless match (section 3.13, D147). The
    key is in composed form.
    """
    if len(text) > _MAX_INPUT_LENGTH:
        return text
    folded = unicodedata.normalize("NFD", normalize(text)).casefold()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", folded).casefold())


def validate_fullname(text: str) -> None:
    """Validate that a full name has no line breaks or control characters.

    Raises django.core.exceptions.ValidationError.
    """
    if any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in text):
        raise ValidationError(
            "A full name cannot contain line breaks or control characters.", code="fullname_characters"
        )


def validate_email_address(text: str) -> None:
    """Validate that an email address has no control characters and no quoted local part.

    A quoted local part may contain control characters (RFC 5321 section 4.1.2).

    Raises django.core.exceptions.ValidationError.
    """
    if '"' in text or any(unicodedata.category(char)[0] == "C" for char in text):
        raise ValidationError(
            "An email address cannot contain quotes or control characters.", code="email_characters"
        )


def validate_username(text: str) -> None:
    """Validate that a username consists of letters, marks and digits of any script, and `. _ - +`.

    `@` is rejected, because a username must not match the email address of another account. Whitespace and
    invisible characters are rejected, because two accounts could then have usernames that look the same.

    Raises django.core.exceptions.ValidationError.
    """
    major_categories = [unicodedata.category(char)[0] for char in text]
    if not all(
        char in _PUNCTUATION or (major in "LMN" and char not in _INVISIBLE)
        for char, major in zip(text, major_categories, strict=True)
    ):
        raise ValidationError(
            "A username can contain only letters, digits and . _ - + (no spaces, no @).",
            code="username_characters",
        )
    if text and not {"L", "N"}.intersection(major_categories):
        raise ValidationError("A username must contain at least one letter or digit.", code="username_blank")
