"""The key ring: the key that signs, the keys that verify, and what is published of them.

Keys are PEM files in `AUTH_KEYS_DIR`, oldest to newest by file name. The newest of the configured algorithm
signs; every one of them verifies. A key's `kid` is its RFC 7638 thumbprint.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
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

from accounts.conf import auth_settings
from accounts.private_files import read_or_create

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

_RSA_BITS = 2048
_THUMBPRINT_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}


class _Algorithm(NamedTuple):
    """How a signing key of one algorithm is made and recognised."""

    make: Callable[[], PrivateKey]
    fits: Callable[[Any], bool]


_ALGORITHMS: Mapping[str, _Algorithm] = {
    "ES256": _Algorithm(
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda key: isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1),
    ),
    "EdDSA": _Algorithm(
        ed25519.Ed25519PrivateKey.generate, lambda key: isinstance(key, ed25519.Ed25519PrivateKey)
    ),
    "RS256": _Algorithm(
        lambda: rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS),
        lambda key: isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _RSA_BITS,
    ),
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair, bound to the one algorithm that it is used with (RFC 8725 section 3.1)."""

    kid: str
    algorithm: str
    private_key: PrivateKey
    public_key: Any
    jwk: Mapping[str, str]

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r}, algorithm={self.algorithm!r})"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The key that signs, and by `kid` all those that verify."""

    signing: SigningKey
    verifying: Mapping[str, SigningKey]

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Give the public keys as a JWK set (RFC 7517 section 5)."""
        return {"keys": [dict(key.jwk) for key in self.verifying.values()]}


def key_ring() -> KeyRing:
    """Return the key ring in force; where there is no key for the configured algorithm, one is made and kept.

    Raises ImproperlyConfigured where a key file cannot be used.
    """
    settings = auth_settings()
    return _load(settings.keys_dir, settings.algorithm)


@cache
def _load(folder: Path, algorithm: str) -> KeyRing:
    paths = sorted(folder.glob("*.pem"))
    keys = [_read(path) for path in paths]
    if not any(key.algorithm == algorithm for key in keys):
        # Named after its place in the order: processes that start together agree on one file.
        newest = folder / f"{_last_number(paths) + 1:04}.pem"
        _keep(newest, algorithm)
        keys.append(_read(newest))
    signing = [key for key in keys if key.algorithm == algorithm][-1]
    return KeyRing(signing, {key.kid: key for key in keys})


def _last_number(paths: list[Path]) -> int:
    return max((int(path.stem) for path in paths if path.stem.isdecimal()), default=0)


def _keep(path: Path, algorithm: str) -> None:
    try:
        read_or_create(path, lambda: _pem(_ALGORITHMS[algorithm].make()))
    except OSError as error:
        raise ImproperlyConfigured(f"AUTH_KEYS_DIR: no signing key can be kept: {error}") from None


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read(path: Path) -> SigningKey:
    try:
        private_key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ImproperlyConfigured(
            f"AUTH_KEYS_DIR: {path} is not a readable, unencrypted PEM private key ({type(error).__name__})"
        ) from None
    for algorithm, rule in _ALGORITHMS.items():
        if rule.fits(private_key):
            return _signing_key(private_key, algorithm)  # type: ignore[arg-type]  # `fits` has told
    raise ImproperlyConfigured(
        f"AUTH_KEYS_DIR: {path} is of the wrong kind. Allowed: P-256 for ES256, Ed25519 for EdDSA, "
        f"RSA of at least {_RSA_BITS} bits for RS256."
    )


def _signing_key(private_key: PrivateKey, algorithm: str) -> SigningKey:
    public_key = private_key.public_key()
    jwk = get_default_algorithms()[algorithm].to_jwk(public_key, as_dict=True)
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    kid = thumbprint(members)
    published = {**members, "kid": kid, "use": "sig", "alg": algorithm}
    return SigningKey(kid, algorithm, private_key, public_key, published)


def thumbprint(members: Mapping[str, str]) -> str:
    """Give the RFC 7638 thumbprint of a public key's required JWK members, base64url-encoded."""
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    return urlsafe_b64encode(sha256(canonical).digest()).rstrip(b"=").decode()
