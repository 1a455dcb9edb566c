"""Signing keys, and what is published of them."""

import stat
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.exceptions import ImproperlyConfigured

from accounts import keys
from accounts.keys import key_ring, thumbprint
from accounts.private_files import read_or_create


@pytest.fixture
def folder(auth, tmp_path):
    auth(keys_dir=tmp_path / "keys")
    return tmp_path / "keys"


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_the_first_start_makes_one_key_that_its_owner_alone_can_read(folder):
    ring = key_ring()
    (file,) = folder.iterdir()

    assert list(ring.verifying) == [ring.signing.kid]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_key_is_kept(folder):
    kid = key_ring().signing.kid
    keys._load.cache_clear()

    assert key_ring().signing.kid == kid


def test_processes_that_start_together_agree_on_one_key(folder):
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: keys._load.__wrapped__(folder, "ES256").signing.kid, range(8)))

    assert len(set(loaded)) == 1
    assert len(list(folder.iterdir())) == 1


def test_the_newest_key_signs_and_the_older_ones_verify(folder):
    folder.mkdir()
    for number in (1, 2):
        (folder / f"000{number}.pem").write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))

    ring = key_ring()

    assert list(ring.verifying)[-1] == ring.signing.kid
    assert len(ring.verifying) == 2


def test_a_key_is_numbered_after_the_last_one_there(folder, auth):
    key_ring()
    auth(algorithm="EdDSA", keys_dir=folder)
    key_ring()
    (folder / "0001.pem").unlink()
    auth(algorithm="ES256", keys_dir=folder)
    keys._load.cache_clear()

    assert key_ring().signing.algorithm == "ES256"
    assert sorted(path.name for path in folder.iterdir()) == ["0002.pem", "0003.pem"]


def test_another_algorithm_gets_a_key_beside_the_old_one(folder, auth):
    old = key_ring().signing
    auth(algorithm="EdDSA", keys_dir=folder)

    ring = key_ring()

    assert ring.signing.algorithm == "EdDSA"
    assert old.kid in ring.verifying


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        pem(ec.generate_private_key(ec.SECP256R1()))[:100],
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(rsa.generate_private_key(65537, 1024)),
    ],
)
def test_a_key_file_that_cannot_be_used_is_named(folder, content):
    folder.mkdir()
    (folder / "0001.pem").write_bytes(content)

    with pytest.raises(ImproperlyConfigured, match=r"0001\.pem"):
        key_ring()


def test_a_private_key_is_never_shown(folder):
    assert "private" not in repr(key_ring()).lower()


def test_the_thumbprint_is_that_of_rfc_7638():
    """The example of section 3.1."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3ok"
        "njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6"
        "qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa"
        "pJzKnqDKgw"
    )

    assert thumbprint({"kty": "RSA", "n": modulus, "e": "AQAB"}) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_the_jwks_is_what_a_verifier_needs(api, signed_in):
    answer = api.get("/.well-known/jwks.json")
    (published,) = answer.json()["keys"]

    assert answer["Cache-Control"] == "public, max-age=300"
    assert set(published) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert published["kid"] == jwt.get_unverified_header(signed_in.access_token)["kid"]
    claims = jwt.decode(
        signed_in.access_token, jwt.PyJWK(published), ["ES256"], issuer="authproject", audience="authproject"
    )
    assert claims["sub"]


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_nothing_private_is_published(auth, tmp_path, algorithm):
    auth(algorithm=algorithm, keys_dir=tmp_path)

    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key_ring().jwks()["keys"][0])


def test_a_secret_on_disk_is_written_once(tmp_path):
    path = tmp_path / "folder" / "secret"

    assert read_or_create(path, lambda: b"first") == b"first"
    assert read_or_create(path, lambda: b"second") == b"first"
    assert [file.name for file in path.parent.iterdir()] == ["secret"]
