"""Base64url without padding, as JOSE and OAuth use it (RFC 7515 section 2)."""

from base64 import urlsafe_b64encode


def encode(content: bytes) -> str:
    """Return the bytes in base64url, without padding."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()
