"""The digest under which a secret is stored."""

import hashlib


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret of 256 random bits, which cannot be found by brute force, in hexadecimal."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
