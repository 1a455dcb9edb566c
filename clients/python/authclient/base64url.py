"""The encoding of the segments of a token: base64url without padding (RFC 7515 section 2)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode


def decode(segment: str) -> bytes:
    """Return the bytes of a segment.

    Raises ValueError if the length or a character is not possible.
    """
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def is_canonical(segment: str) -> bool:
    """Return whether a segment is the canonical encoding of its bytes.

    The last character can have unused bits, so that several strings decode to the same bytes.
    """
    try:
        return urlsafe_b64encode(decode(segment)).rstrip(b"=").decode() == segment
    except ValueError:
        return False
