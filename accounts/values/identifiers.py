"""Normalize and validate usernames, email addresses and full names; compute the key that makes a name unique."""

import unicodedata

import idna
from django.core.exceptions import ValidationError

USERNAME_LENGTH = 150
EMAIL_LENGTH = 254

DECOY_DOMAIN = "decoy.invalid"
"""The domain of addresses without a mailbox. RFC 2606 reserves `.invalid`; no email is sent there."""

_PUNCTUATION = frozenset("._-+")
_MAX_INPUT_LENGTH = 3 * EMAIL_LENGTH
# The letters and marks among the Default_Ignorable_Code_Points of the Unicode Character Database. They are not
# rendered: with them, two different names could look the same. The others have a category that begins with C.
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


def normalize_email(text: str) -> str:
    """Return an email address as it is stored: normalized, with the domain in ASCII and in lower case.

    `bücher.example` becomes `xn--bcher-kva.example`, the form that browsers submit and that email is sent to
    (RFC 5891, with the mapping of UTS #46). A domain that has no such form, or that contains invisible characters,
    is only normalized; `validate_email_address` rejects it.
    """
    local_part, at_sign, domain = normalize(text).rpartition("@")
    if not at_sign or any(_is_invisible(char) for char in domain):
        return local_part + at_sign + domain
    return f"{local_part}@{domain_to_ascii(domain) or domain}"


def email_key(text: str) -> str:
    """Return the comparison key of an email address, which is the same for all spellings of its domain.

    Invisible characters in the domain are ignored, so that an account that has such an address is still found.
    """
    local_part, at_sign, domain = normalize(text).rpartition("@")
    if not at_sign:
        return comparison_key(text)
    return f"{comparison_key(local_part)}@{domain_to_ascii(domain) or comparison_key(domain)}"


def domain_to_ascii(domain: str) -> str | None:
    """Return a domain name in ASCII and in lower case, or None if it is not valid under IDNA 2008."""
    lowered = domain.lower()
    if domain.isascii() and "xn--" not in lowered:
        return lowered  # IDNA 2008 would reject underscores and some hyphens of existing domains.
    if len(domain) > EMAIL_LENGTH:
        return None
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:
        return None


def _is_invisible(char: str) -> bool:
    return char in _INVISIBLE or unicodedata.category(char)[0] == "C"


NORMALIZERS = {"username": normalize, "email": normalize_email, "fullname": normalize}
"""How each name of an account is stored, by field name."""

KEYS = {"username": comparison_key, "email": email_key}
"""How each name that is unique is compared, by field name."""


def validate_fullname(text: str) -> None:
    """Validate that a full name has no line breaks or control characters.

    Raises django.core.exceptions.ValidationError.
    """
    if any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in text):
        raise ValidationError(
            "A full name cannot contain line breaks or control characters.", code="fullname_characters"
        )


def validate_factor_name(text: str) -> None:
    """Validate that the name of a second factor has no line breaks, control characters or invisible characters.

    Raises django.core.exceptions.ValidationError.
    """
    if any(_is_invisible(char) or unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in text):
        raise ValidationError(
            "A name cannot contain line breaks, control characters or invisible characters.",
            code="factor_name_characters",
        )


def validate_email_address(text: str) -> None:
    """Validate that an email address has an ASCII local part without quotes, and a domain name.

    This service sends email without SMTPUTF8 (RFC 6531), so it cannot reach other local parts. A quoted local part
    may contain control characters (RFC 5321 section 4.1.2). An IP address in brackets has several spellings.

    Raises django.core.exceptions.ValidationError.
    """
    if '"' in text or any(_is_invisible(char) for char in text):
        raise ValidationError(
            "An email address cannot contain quotes, control characters or invisible characters.",
            code="email_characters",
        )
    local_part, _, domain = normalize(text).rpartition("@")
    if not local_part.isascii():
        raise ValidationError(
            "Before the @, an email address can contain only the letters a to z, digits and punctuation.",
            code="email_local_part",
        )
    if domain.startswith("[") or domain_to_ascii(domain) is None:
        raise ValidationError(
            "After the @, an email address must have a valid domain name, such as example.com.",
            code="email_domain",
        )


def validate_username(text: str) -> None:
    """Validate that a username consists of letters, marks and digits of any script, and `. _ - +`.

    `@` is rejected, because a username must not match the email address of another account. Whitespace and
    invisible characters are rejected, because two accounts could then have usernames that look the same.

    Raises django.core.exceptions.ValidationError.
    """
    major_categories = [unicodedata.category(char)[0] for char in text]
    if not all(
        char in _PUNCTUATION or (major in "LMN" and not _is_invisible(char))
        for char, major in zip(text, major_categories, strict=True)
    ):
        raise ValidationError(
            "A username can contain only letters, digits and . _ - + (no spaces, no @).",
            code="username_characters",
        )
    if text and not {"L", "N"}.intersection(major_categories):
        raise ValidationError("A username must contain at least one letter or digit.", code="username_blank")
