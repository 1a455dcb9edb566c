"""The public keys that a passkey may have."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fido2 import cbor
from fido2.cose import ES256, ES384, RS256, EdDSA

from accounts.factors import passkey_keys

P256 = dict(ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key()))
ED25519 = dict(EdDSA.from_cryptography_key(ed25519.Ed25519PrivateKey.generate().public_key()))
RSA = dict(RS256.from_cryptography_key(rsa.generate_private_key(65537, 2048).public_key()))
P384 = dict(ES384.from_cryptography_key(ec.generate_private_key(ec.SECP384R1()).public_key()))


def odd(bits):
    return (1 << (bits - 1) | 1).to_bytes((bits + 7) // 8)


@pytest.mark.parametrize("key", [P256, ED25519, RSA])
def test_keys_are_stored_without_other_parameters(key):
    assert cbor.decode(passkey_keys.encode({**key, -4: b"x" * 10_000, 2: b"id"})) == key


@pytest.mark.parametrize("key", [P256, ED25519, RSA])
def test_a_key_without_one_of_its_parameters_is_refused(key):
    for label in key:
        with pytest.raises((KeyError, ValueError)):
            passkey_keys.encode({name: value for name, value in key.items() if name != label})


@pytest.mark.parametrize(
    "key",
    [
        P384,
        {**P256, 3: -257},
        {**P256, 3: -9},
        {**P256, 1: 3},
        {**P256, -1: 2},
        {**P256, -2: b"\1" * 32},
        {**P256, -2: b"\xff" * 32},
        {**P256, -2: bytes(32), -3: bytes(32)},
        {**P256, -2: b"\0" + P256[-2]},
        {**P256, -2: tuple(P256[-2])},
        {**P256, -2: 5},
        {**ED25519, -1: 7},
        {**ED25519, -2: ED25519[-2][:31]},
        {**ED25519, -2: bytes(32)},
        {**ED25519, -2: b"\1" + bytes(31)},
        {**ED25519, -2: b"\1" + bytes(30) + b"\x80"},
        {**RSA, -1: odd(1024)},
        {**RSA, -1: odd(4104)},
        {**RSA, -1: odd(200_000)},
        {**RSA, -1: b"\xff" * 255 + b"\xfe"},
        {**RSA, -2: b"\1"},
        {**RSA, -2: b"\3"},
        {**RSA, 3: [1]},
    ],
)
def test_other_keys_and_weak_ones_are_refused(key):
    with pytest.raises((ValueError, TypeError)):
        passkey_keys.encode(key)
