"""Which library computes an Argon2 hash, and that the result does not depend on it."""

import base64
import string

import argon2
import nacl.pwhash
import pytest
from argon2.low_level import Type, hash_secret
from django.contrib.auth.hashers import Argon2PasswordHasher
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import User
from accounts.passwords.hashers import OwaspArgon2idHasher
from tests.factories import PASSWORD, make_user

OF_AN_EARLIER_RELEASE = "argon2$argon2id$v=19$m=19456,t=2,p=1$TEVwSHpZaE1SaFBSUnNPVXNJdVZheQ$IiF51jAHD1pyXkCHcdvR3ujVHyA/INDKCrh2DaMFs34"
"""The hash of "pw", with the 22 characters of Django's salts."""

WITH_LIBSODIUM = OwaspArgon2idHasher(machine="x86_64")
WITHOUT = OwaspArgon2idHasher(machine="aarch64")
OWN = {"time_cost": 2, "memory_cost": 19456, "parallelism": 1, "hash_len": 32, "type": Type.ID, "version": 19}
OTHER = {
    "less memory": {"memory_cost": 19455},
    "more memory": {"memory_cost": 19457},
    "one pass": {"time_cost": 1},
    "two lanes": {"parallelism": 2},
    "Argon2i": {"type": Type.I},
    "Argon2d": {"type": Type.D},
    "version 1.0": {"version": 16},
    "a digest of 15 bytes": {"hash_len": 15},
    "a digest of 31 bytes": {"hash_len": 31},
    "a digest of 64 bytes": {"hash_len": 64},
    "a salt of 15 bytes": {"salt": b"s" * 15},
    "a salt of 39 bytes": {"salt": b"s" * 39},
}


def encode(password=PASSWORD, salt=b"s" * 16, **parameters):
    return "argon2" + hash_secret(password.encode(), salt, **{**OWN, **parameters}).decode()


@pytest.fixture
def computed_by(monkeypatch):
    """Record which library computes each hash."""
    libraries = []

    def record(owner, name, library):
        original = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *args, **options: libraries.append(library) or original(*args, **options)
        )

    record(nacl.pwhash.argon2id, "kdf", "libsodium")
    record(nacl.pwhash.argon2id, "verify", "libsodium")
    record(argon2.low_level, "hash_secret", "argon2-cffi")
    record(argon2.PasswordHasher, "verify", "argon2-cffi")
    return libraries


@pytest.mark.parametrize(
    ("machine", "library"),
    [
        ("x86_64", "libsodium"),
        ("AMD64", "libsodium"),
        ("aarch64", "argon2-cffi"),
        ("arm64", "argon2-cffi"),
        ("i686", "argon2-cffi"),
        ("unheard of", "argon2-cffi"),
    ],
)
def test_the_processor_decides_which_library_computes_new_hashes_and_verifies_them(computed_by, machine, library):
    hasher = OwaspArgon2idHasher(machine)

    encoded = hasher.encode(PASSWORD, hasher.salt())

    assert hasher.verify(PASSWORD, encoded)
    assert not hasher.verify("wrong password", encoded)
    assert computed_by == [library] * 3


def test_a_hasher_reads_the_type_of_the_processor_once(computed_by, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    hasher = OwaspArgon2idHasher()
    monkeypatch.setattr("platform.machine", lambda: "aarch64")

    hasher.verify("pw", OF_AN_EARLIER_RELEASE)
    OwaspArgon2idHasher().verify("pw", OF_AN_EARLIER_RELEASE)

    assert computed_by == ["libsodium", "argon2-cffi"]


@pytest.mark.parametrize("username", ["unknown", "alice", "gone", "passwordless", "malformed"])
def test_every_failed_sign_in_is_hashed_by_the_library_that_verifies(api, computed_by, username):
    make_user("alice")
    make_user("gone", is_active=False)
    make_user("passwordless")
    make_user("malformed")
    User.objects.filter(username="passwordless").update(password="!")
    User.objects.filter(username="malformed").update(password=f"argon2$argon2id$v=19$m=19456,t=2,p=1$s${'A' * 43}")
    computed_by.clear()

    OwaspArgon2idHasher().verify(PASSWORD, OF_AN_EARLIER_RELEASE)
    assert api.sign_in(username, "wrong password").status_code == 401

    assert len(computed_by) == 2
    assert len(set(computed_by)) == 1


@pytest.mark.parametrize("parameters", OTHER.values(), ids=OTHER)
def test_hashes_with_other_parameters_are_verified_by_argon2_cffi_and_replaced(computed_by, parameters):
    encoded = encode(**parameters)
    computed_by.clear()

    assert WITH_LIBSODIUM.verify(PASSWORD, encoded)
    assert not WITH_LIBSODIUM.verify("wrong password", encoded)
    assert computed_by == ["argon2-cffi"] * 2
    assert WITH_LIBSODIUM.must_update(encoded)
    assert WITHOUT.must_update(encoded)


@pytest.mark.parametrize("length", [16, 22, 38])
def test_hashes_with_the_same_parameters_are_verified_by_libsodium_and_stay(computed_by, length):
    encoded = encode(salt=b"\xff" * length)
    computed_by.clear()

    assert WITH_LIBSODIUM.verify(PASSWORD, encoded)
    assert computed_by == ["libsodium"]
    assert not WITH_LIBSODIUM.must_update(encoded)
    assert not WITHOUT.must_update(encoded)


@pytest.mark.parametrize("hasher", [WITH_LIBSODIUM, WITHOUT], ids=["libsodium", "argon2-cffi"])
def test_hashes_of_earlier_releases_are_verified_and_stay(hasher):
    assert hasher.verify("pw", OF_AN_EARLIER_RELEASE)
    assert not hasher.verify("px", OF_AN_EARLIER_RELEASE)
    assert not hasher.must_update(OF_AN_EARLIER_RELEASE)


@pytest.mark.parametrize(
    "password", ["", "\0", "a\0b", "x" * 128, "🙂" * 128, "x" * 100_000, "a\u0308", "\u00e4", "\ufdd0\U0010ffff"]
)
def test_every_library_verifies_the_new_hashes_of_the_others(password):
    encoded = [hasher.encode(password, hasher.salt()) for hasher in (WITH_LIBSODIUM, WITHOUT)]

    for hasher in (WITH_LIBSODIUM, WITHOUT, Argon2PasswordHasher()):
        assert [hasher.verify(password, each) for each in encoded] == [True, True]
        assert [hasher.verify(password + "\0", each) for each in encoded] == [False, False]


@settings(max_examples=30, deadline=None)
@given(
    typed=st.text(max_size=20),
    stored=st.text(max_size=20),
    salt=st.binary(min_size=8, max_size=44),
    same=st.booleans(),
)
def test_the_libraries_agree_about_every_password_and_salt(typed, stored, salt, same):
    encoded = encode(typed if same else stored, salt)

    assert WITH_LIBSODIUM.verify(typed, encoded) is WITHOUT.verify(typed, encoded) is (same or typed == stored)


def test_a_password_with_a_lone_surrogate_is_no_text_for_either_library():
    for hasher in (WITH_LIBSODIUM, WITHOUT):
        with pytest.raises(UnicodeEncodeError):
            hasher.verify("\ud800", OF_AN_EARLIER_RELEASE)


@pytest.mark.parametrize("password", ["", "\0", "x" * 128, "🙂" * 128, "a\0b", "\ud800"])
def test_no_password_leads_to_an_error(api, password):
    make_user("alice")

    assert api.sign_in("alice", password).status_code in (400, 401)
    assert api.sign_in("unknown", password).status_code in (400, 401)


DIGEST = OF_AN_EARLIER_RELEASE.rpartition("$")[2]


@pytest.mark.parametrize(
    "encoded",
    [
        OF_AN_EARLIER_RELEASE[:-1],
        OF_AN_EARLIER_RELEASE + "A",
        OF_AN_EARLIER_RELEASE + "\n",
        OF_AN_EARLIER_RELEASE + "=",
        OF_AN_EARLIER_RELEASE[:-1] + "5",  # the same digest with unused bits
        OF_AN_EARLIER_RELEASE[:-1] + "\0",
        OF_AN_EARLIER_RELEASE.replace("TEVw", "VEV="),
        OF_AN_EARLIER_RELEASE.replace("TEVw", "TEVwA"),
        OF_AN_EARLIER_RELEASE.replace("TEVw", "VEVé"),
        OF_AN_EARLIER_RELEASE.replace("m=19456", "m=019456"),
        OF_AN_EARLIER_RELEASE.replace("m=19456", "m=１９４５６"),
        OF_AN_EARLIER_RELEASE.replace("$v=19", ""),
        f"argon2$argon2id$v=19$m=19456,t=2,p=1$${DIGEST}",
    ],
)
def test_a_malformed_hash_is_never_that_of_the_password(encoded):
    try:
        assert WITH_LIBSODIUM.verify("pw", encoded) is False
    except ValueError:  # as argon2-cffi raises it; `User.check_password` counts it as a wrong password
        assert encoded != OF_AN_EARLIER_RELEASE


def test_a_new_hash_has_a_salt_of_16_bytes():
    salt = string.ascii_letters[:22]

    encoded = WITH_LIBSODIUM.encode(PASSWORD, salt)
    (stored, digest) = encoded.removeprefix("argon2$argon2id$v=19$m=19456,t=2,p=1$").split("$")

    assert base64.b64decode(stored + "==") == base64.b64decode(salt + "==")
    assert (len(stored), len(digest)) == (22, 43)
    assert WITH_LIBSODIUM.encode(PASSWORD, stored) == encoded
    assert len({WITH_LIBSODIUM.salt() for _ in range(100)}) == 100


@pytest.mark.parametrize("salt", ["short", "s" * 21, "s" * 21 + "$", "s" * 23, "ä" * 22])
def test_a_salt_that_was_not_generated_is_hashed_as_text(salt):
    if len(salt.encode()) < 8:
        with pytest.raises(argon2.exceptions.HashingError):
            WITH_LIBSODIUM.encode(PASSWORD, salt)
    else:
        assert WITH_LIBSODIUM.encode(PASSWORD, salt) == WITHOUT.encode(PASSWORD, salt)


def test_the_summary_of_a_hash_is_printable():
    summary = WITH_LIBSODIUM.safe_summary(encode(salt=bytes(16)))

    assert "AAAAAA****************" in summary.values()
