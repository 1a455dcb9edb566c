"""Normalize passwords, so that the same password typed on any device is one password (RFC 8265, OpaqueString)."""

import unicodedata

MAX_PASSWORD_LENGTH = 128
"""The maximum length of a password, in characters. A longer password is rejected before it is hashed."""

# A character has at most four in decomposed form. Longer text is too long in any form, and the time to normalize
# grows with the square of the length.
_MAX_TYPED_LENGTH = 4 * MAX_PASSWORD_LENGTH
# The category Zs of the Unicode Character Database.
_SPACES = dict.fromkeys((0x00A0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " ")


def normalize_password(typed: str) -> str:
    """Return the form of a password that is hashed and validated: every space as U+0020, and in Unicode form NFC.

    Nothing is trimmed or cut, and the case stays. A password that is too long is returned unchanged.
    """
    if typed.isascii() or len(typed) > _MAX_TYPED_LENGTH:
        return typed
    return unicodedata.normalize("NFC", typed.translate(_SPACES))


def password_candidates(typed: str) -> tuple[str, ...]:
    """Return the passwords to try: the normalized one, and the typed one if it differs.

    Hashes that were imported, or made before passwords were normalized, are those of the typed password.
    """
    normalized = normalize_password(typed)
    return (normalized,) if normalized == typed else (normalized, typed)
