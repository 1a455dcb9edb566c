"""The public keys of passkeys: which ones are accepted, and how they are stored (COSE_Key, RFC 9052 and RFC 9053).

A key that cannot be loaded would be a factor that never works, and a weak one could be computed by others.
"""

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fido2 import cbor

_KEY_TYPE, _ALGORITHM = 1, 3
_OCTET_KEY_PAIR, _ELLIPTIC_CURVE, _RSA = 1, 2, 3
_P256, _ED25519 = 1, 6
_COORDINATE_LENGTH = 32  # bytes, of both curves
_RSA_LENGTHS = range(2048, 4097)  # bits
_RSA_EXPONENT = 65537
_SMALL_ORDER = frozenset(
    bytes.fromhex(y) for y in (
        "00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f", "ed" + "ff" * 30 + "7f", "ee" + "ff" * 30 + "7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)  # fmt: skip
"""The points of Ed25519 for which anyone can make a signature, without the sign bit."""


def encode(key: Mapping[Any, Any]) -> bytes:
    """Return the parameters of an ES256, EdDSA or RS256 key as they are stored, without any other ones.

    Raises ValueError if the key is of another algorithm, cannot be used, or is weak, and KeyError or TypeError if
    a parameter is missing or of another type.
    """
    parameters = _PARAMETERS.get((key[_KEY_TYPE], key[_ALGORITHM]))
    if parameters is None or type(key[_ALGORITHM]) is not int:
        raise ValueError("Unsupported algorithm.")
    labels, check = parameters
    check(key)
    return cbor.encode({label: key[label] for label in (_KEY_TYPE, _ALGORITHM, *labels)})


def _check_p256(key: Mapping[Any, Any]) -> None:
    x, y = _octets(key[-2]), _octets(key[-3])
    if key[-1] != _P256 or {len(x), len(y)} != {_COORDINATE_LENGTH}:
        raise ValueError("Unsupported curve.")
    # Raises ValueError unless the point is on the curve.
    EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), SECP256R1()).public_key()


def _check_ed25519(key: Mapping[Any, Any]) -> None:
    point = _octets(key[-2])
    if key[-1] != _ED25519 or len(point) != _COORDINATE_LENGTH:
        raise ValueError("Unsupported curve.")
    if point[:-1] + bytes([point[-1] & 0x7F]) in _SMALL_ORDER:
        raise ValueError("Weak key.")
    Ed25519PublicKey.from_public_bytes(point)


def _check_rsa(key: Mapping[Any, Any]) -> None:
    modulus, exponent = int.from_bytes(_octets(key[-1])), int.from_bytes(_octets(key[-2]))
    if modulus.bit_length() not in _RSA_LENGTHS or not modulus % 2 or exponent != _RSA_EXPONENT:
        raise ValueError("Weak key.")


def _octets(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError
    return value


_PARAMETERS: Mapping[tuple[int, int], tuple[tuple[int, ...], Any]] = {
    (_ELLIPTIC_CURVE, -7): ((-1, -2, -3), _check_p256),
    (_OCTET_KEY_PAIR, -8): ((-1, -2), _check_ed25519),
    (_RSA, -257): ((-1, -2), _check_rsa),
}
"""The labels and the check of each kind of key, by key type and algorithm."""
