"""Decrypt access tokens: a nested JWT (RFC 7516, RFC 7519 section 5.2), always `dir` with A256GCM.

The rules are equal to those that the token service applies itself.
"""

import re
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authclient import base64url, strict_json
from authclient.claims import MAX_TOKEN_LENGTH
from authclient.refusals import TokenInvalid

_KEY_LENGTH = 32  # bytes, for A256GCM

# A header of at most 512 characters, no encrypted key, 96 bits of initialization vector, and 128 bits of tag.
_COMPACT_JWE = re.compile(
    r"([A-Za-z0-9_-]{1,512})\.\.([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{22})", re.ASCII
)


def parse_keys(jwk_set: Any) -> dict[str, AESGCM]:
    """Return the keys of a parsed JWK set, by `kid`. Unknown members are ignored (RFC 7517 sections 4 and 5).

    Raises ValueError if it is not a set that the token service's show_encryption_key prints. The message contains
    no key.
    """
    jwks = jwk_set.get("keys") if isinstance(jwk_set, Mapping) else None
    if not isinstance(jwks, list) or not jwks:
        raise ValueError(
            "The decryption keys are not a JWK set. Allowed: the parsed JSON that show_encryption_key prints, a "
            'dictionary whose "keys" is a list of at least one key.'
        )
    keys = dict(_parse_key(number, jwk) for number, jwk in enumerate(jwks, 1))
    if len(keys) < len(jwks):
        raise ValueError("Two decryption keys have the same kid.")
    return keys


def decrypt(token: str, keys: Mapping[str, AESGCM]) -> str:
    """Return the signed token in an encrypted one. A token that is not encrypted is returned unchanged.

    The caller verifies the signed token.

    Raises TokenInvalid if the token was altered, was encrypted with none of the keys, or contains no signed token.
    """
    if token.count(".") != 4:  # noqa: PLR2004  RFC 7516 section 7.1
        return token
    head, iv, ciphertext, tag = _split(token)
    key = _select_key(head, keys)
    try:
        sealed = base64url.decode(ciphertext) + base64url.decode(tag)
        content = key.decrypt(base64url.decode(iv), sealed, head.encode()).decode("ascii")
    except (InvalidTag, ValueError):
        raise TokenInvalid from None
    if content.count(".") != 2:  # noqa: PLR2004  RFC 7515 section 7.1; a token is encrypted only once
        raise TokenInvalid
    return content


def _parse_key(number: int, jwk: Any) -> tuple[str, AESGCM]:
    members = jwk if isinstance(jwk, dict) else {}
    kid, text = members.get("kid"), members.get("k")
    is_for_encryption = members.get("kty") == "oct" and members.get("use") == "enc"
    if is_for_encryption and isinstance(kid, str) and isinstance(text, str) and base64url.is_canonical(text):
        key = base64url.decode(text)
        if len(key) == _KEY_LENGTH:
            return kid, AESGCM(key)
    raise ValueError(f"Decryption key {number} is invalid. Allowed: kty oct, use enc, a kid, and k with 32 bytes.")


def _split(token: str) -> tuple[str, str, str, str]:
    """Return header, initialization vector, ciphertext and tag.

    Raises TokenInvalid unless all of them are canonical base64url, so that a token has one spelling.
    """
    segments = _COMPACT_JWE.fullmatch(token) if len(token) <= MAX_TOKEN_LENGTH else None
    if segments is None or not all(base64url.is_canonical(segment) for segment in segments.groups()):
        raise TokenInvalid
    return segments[1], segments[2], segments[3], segments[4]


def _select_key(head: str, keys: Mapping[str, AESGCM]) -> AESGCM:
    """Return the key named in the header.

    Raises TokenInvalid unless the header is exactly the one that the issuer writes with that key.
    """
    try:
        header = strict_json.loads(base64url.decode(head).decode())
    except (ValueError, RecursionError):
        raise TokenInvalid from None
    kid = header.get("kid") if isinstance(header, dict) else None
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None or header != {"alg": "dir", "enc": "A256GCM", "cty": "JWT", "kid": kid}:
        raise TokenInvalid
    return key
