"""Signing keys: generate, load and identify them. Each algorithm is declared here once.

An asymmetric key is an unencrypted PEM file (PKCS #8). The secret of HS256, which is for a single service, is a
file of at least 32 bytes. A key that encrypts access tokens is a JWK (RFC 7517) of 256 bits. A key's `kid` is its
RFC 7638 thumbprint.
"""

import json
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import InvalidKeyError

from accounts.values import base64url

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

ENCRYPTION_ALGORITHM = "A256GCM"
"""The algorithm of the keys that encrypt access tokens. No such key signs or verifies."""

_RSA_BITS = 3072  # of new keys: 128 bits of security (NIST SP 800-57 part 1, table 2)
_MIN_RSA_BITS = 2048  # of imported keys (RFC 7518 section 3.3)
_SECRET_BYTES = 32  # RFC 7518 section 3.2: as long as the hash
_ENCRYPTION_BYTES = 32  # RFC 7518 section 5.3
_THUMBPRINT_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
_ALLOWED = (
    "P-256 for ES256, Ed25519 for EdDSA, RSA of at least 2048 bits for RS256, each as unencrypted PEM in *.pem; "
    "at least 32 bytes for HS256 in *.secret; a JWK of kty oct with 32 bytes for encryption in *.jwk"
)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key, bound to exactly one algorithm (RFC 8725 section 3.1).

    `public_key` verifies what `private_key` signs. `jwk` is the public JWK, or None for a secret. For a key that
    encrypts, `private_key` and `public_key` are its bytes. Keys are equal if their thumbprints are.
    """

    kid: str
    algorithm: str
    private_key: PrivateKey | bytes = field(compare=False, repr=False)
    public_key: Any = field(compare=False, repr=False)
    jwk: Mapping[str, str] | None = field(compare=False, repr=False)


class _Asymmetric(NamedTuple):
    """How to generate and recognize a key of one algorithm."""

    generate: Callable[[], PrivateKey]
    matches: Callable[[Any], bool]


_ASYMMETRIC: Mapping[str, _Asymmetric] = {
    "ES256": _Asymmetric(
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda key: isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1),
    ),
    "EdDSA": _Asymmetric(
        ed25519.Ed25519PrivateKey.generate, lambda key: isinstance(key, ed25519.Ed25519PrivateKey)
    ),
    "RS256": _Asymmetric(
        lambda: rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS),
        lambda key: isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _MIN_RSA_BITS,
    ),
}


def file_suffix(algorithm: str) -> str:
    """Return the file suffix for keys of an algorithm."""
    if algorithm == ENCRYPTION_ALGORITHM:
        return ".jwk"
    return ".pem" if algorithm in _ASYMMETRIC else ".secret"


def generate(algorithm: str) -> bytes:
    """Generate a key; return the content of its file. Its `kid` does not start with a hyphen, as options do."""
    while True:
        content = _generate(algorithm)
        if not parse(content, Path(f"new{file_suffix(algorithm)}")).kid.startswith("-"):
            return content


def _generate(algorithm: str) -> bytes:
    if algorithm == ENCRYPTION_ALGORITHM:
        return json.dumps(secret_jwk(secrets.token_bytes(_ENCRYPTION_BYTES))).encode()
    if algorithm not in _ASYMMETRIC:
        return secrets.token_urlsafe(_SECRET_BYTES).encode()
    return _ASYMMETRIC[algorithm].generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load(path: Path) -> SigningKey:
    """Load a key from its file.

    Raises ImproperlyConfigured, naming the file and what is allowed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImproperlyConfigured(f"AUTH_KEYS_DIR: {path} cannot be read: {error.strerror}.") from None
    return parse(content, path)


def parse(content: bytes, path: Path) -> SigningKey:
    """Parse the content of a key file. `path` determines its kind and is named in errors.

    Raises ImproperlyConfigured.
    """
    if path.suffix == ".secret":
        return _from_secret(content.strip(), path)
    if path.suffix == ".jwk":
        return _from_secret_jwk(content, path)
    try:
        private_key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ImproperlyConfigured(
            f"AUTH_KEYS_DIR: {path} is not an unencrypted PEM private key ({type(error).__name__}). "
            f"Allowed: {_ALLOWED}."
        ) from None
    for algorithm, rule in _ASYMMETRIC.items():
        if rule.matches(private_key):
            return _from_private(private_key, algorithm)  # type: ignore[arg-type]  # `matches` narrows it
    raise ImproperlyConfigured(f"AUTH_KEYS_DIR: {path} is too short or of the wrong kind. Allowed: {_ALLOWED}.")


def secret_jwk(key: bytes) -> dict[str, str]:
    """Return the JWK of a key that encrypts (RFC 7518 section 6.4), which is needed to read tokens."""
    members = {"k": base64url.encode(key), "kty": "oct"}
    return {**members, "kid": thumbprint(members), "use": "enc"}


def thumbprint(members: Mapping[str, str]) -> str:
    """Return the RFC 7638 thumbprint of a key's required JWK members, base64url-encoded."""
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    return base64url.encode(sha256(canonical).digest())


def _from_private(private_key: PrivateKey, algorithm: str) -> SigningKey:
    public_key = private_key.public_key()
    jwk = get_default_algorithms()[algorithm].to_jwk(public_key, as_dict=True)
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    kid = thumbprint(members)
    published = {**members, "kid": kid, "use": "sig", "alg": algorithm}
    return SigningKey(kid, algorithm, private_key, public_key, published)


def _from_secret(secret: bytes, path: Path) -> SigningKey:
    if len(secret) < _SECRET_BYTES:
        raise ImproperlyConfigured(f"AUTH_KEYS_DIR: {path} is too short. Allowed: {_ALLOWED}.")
    try:
        get_default_algorithms()["HS256"].prepare_key(secret)
    except InvalidKeyError:
        raise ImproperlyConfigured(f"AUTH_KEYS_DIR: {path} is of the wrong kind. Allowed: {_ALLOWED}.") from None
    kid = thumbprint({"k": base64url.encode(secret), "kty": "oct"})
    return SigningKey(kid, "HS256", secret, secret, None)


def _from_secret_jwk(content: bytes, path: Path) -> SigningKey:
    try:
        jwk = json.loads(content)
        key = urlsafe_b64decode(jwk["k"] + "=")
        is_valid = len(key) == _ENCRYPTION_BYTES and {**jwk, **secret_jwk(key)} == jwk
    except (ValueError, TypeError, KeyError, RecursionError):
        is_valid = False
    if not is_valid:
        raise ImproperlyConfigured(
            f"AUTH_KEYS_DIR: {path} is not a JWK for encryption. Allowed: k (32 bytes), kty oct, use enc, and the "
            "RFC 7638 thumbprint as kid."
        )
    return SigningKey(jwk["kid"], ENCRYPTION_ALGORITHM, key, key, None)
