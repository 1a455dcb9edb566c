"""Signing keys: their files, and what is published of them."""

import json
import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from django.core.exceptions import ImproperlyConfigured

from accounts.conf import ALGORITHMS, auth_settings
from accounts.keys import key_ring as ring_module
from accounts.keys import rotation as key_rotation
from accounts.keys import signing_keys
from accounts.keys.key_ring import key_ring
from accounts.keys.private_files import read_or_create
from accounts.keys.schedule import RING_FILE
from accounts.keys.signing_keys import thumbprint
from tests.conftest import SignedIn
from tests.factories import make_user


@pytest.fixture
def folder(override_auth, tmp_path):
    override_auth(keys_dir=tmp_path / "keys")
    return tmp_path / "keys"


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def p256():
    return pem(ec.generate_private_key(ec.SECP256R1()))


def key_files(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix in {".pem", ".secret"})


def forget():
    """Know nothing, as a process that has just started."""
    ring_module._cache.clear()


def mount(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.pem").write_bytes(content)


def test_the_first_start_makes_a_key_that_signs_and_the_next_one(folder):
    ring = key_ring()

    assert len(ring.verifying) == 2
    assert next(iter(ring.verifying)) == ring.signing.kid
    assert key_files(folder) == sorted(f"{kid}.pem" for kid in ring.verifying)


def test_the_owner_alone_can_read_them(folder):
    key_ring()

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        if path.name != ".lock":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_start_that_takes_longer_than_a_second_is_no_fault(override_auth, tmp_path, clock, monkeypatch):
    override_auth(keys_dir=tmp_path / "keys")
    make = signing_keys.generate
    monkeypatch.setattr(signing_keys, "generate", lambda algorithm: (clock.advance(seconds=1), make(algorithm))[1])
    start = key_rotation.create_first_keys
    monkeypatch.setattr(
        key_rotation, "create_first_keys", lambda *arguments: (clock.advance(seconds=2), start(*arguments))
    )

    assert key_ring().signing


def test_the_keys_are_kept(folder):
    ring = key_ring()
    forget()

    assert key_ring() == ring


def test_processes_that_start_together_agree(folder):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: key_rotation.create_first_keys(folder, "ES256"), range(8)))

    assert len(key_files(folder)) == 2
    assert key_ring().signing.kid


def test_of_mounted_keys_the_last_by_name_signs_and_all_verify(folder):
    mount(folder, a=p256(), b=p256())

    ring = key_ring()

    assert ring.signing == signing_keys.load(folder / "b.pem")
    assert len(ring.verifying) == 2
    assert not (folder / RING_FILE).exists()


def test_of_mounted_keys_of_several_algorithms_one_of_the_configured_signs(folder):
    mount(folder, a=p256(), b=signing_keys.generate("EdDSA"))

    assert key_ring().signing == signing_keys.load(folder / "a.pem")


@pytest.mark.parametrize("algorithm", ["ES256", "HS256"])
def test_no_kid_looks_like_an_option_of_a_command(algorithm, monkeypatch):
    made = []
    parse = signing_keys.parse

    def with_a_hyphen_at_first(content, path):
        made.append(1)
        key = parse(content, path)
        kid = key.kid.lstrip("-")  # one of 64 has one by itself
        return replace(key, kid=kid if len(made) > 3 else f"-{kid}")

    monkeypatch.setattr(signing_keys, "parse", with_a_hyphen_at_first)
    signing_keys.generate(algorithm)

    assert len(made) == 4


def test_a_mounted_key_called_next_is_published_and_does_not_sign(folder):
    mount(folder, a=p256(), **{"next-1": p256()})

    ring = key_ring()

    assert ring.signing == signing_keys.load(folder / "a.pem")
    assert len(ring.jwks()["keys"]) == 2


def test_keys_mounted_for_reading_alone_are_enough(folder):
    mount(folder, a=p256())
    folder.chmod(0o500)

    assert key_ring().signing
    assert key_files(folder) == ["a.pem"]


def test_another_algorithm_gets_a_key_beside_the_mounted_ones(folder, override_auth):
    mount(folder, a=p256())
    override_auth(algorithm="EdDSA", keys_dir=folder)

    ring = key_ring()

    assert ring.signing.algorithm == "EdDSA"
    assert signing_keys.load(folder / "a.pem").kid in ring.verifying


def test_a_changed_setting_is_followed_with_the_next_start(folder, override_auth):
    old = key_ring().signing
    override_auth(algorithm="EdDSA", keys_dir=folder)
    assert key_ring().signing == old

    key_rotation.apply_algorithm_setting(folder, "EdDSA")

    ring = key_ring()
    assert ring.signing.algorithm == "EdDSA"
    assert old.kid in ring.verifying


def test_a_setting_that_has_not_changed_changes_nothing(folder):
    key_ring()
    key_rotation.rotate("EdDSA")
    before = (folder / RING_FILE).read_bytes()

    key_rotation.apply_algorithm_setting(folder, "ES256")

    assert (folder / RING_FILE).read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        p256()[:100],
        p256()[:-30],
        pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"x")),
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(rsa.generate_private_key(65537, 1024)),
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(
            Encoding.PEM,
            __import__("cryptography").hazmat.primitives.serialization.PublicFormat.SubjectPublicKeyInfo,
        ),
    ],
)
def test_a_key_file_that_cannot_be_used_is_named_with_what_is_allowed(folder, content):
    mount(folder, key=content)

    with pytest.raises(ImproperlyConfigured, match=r"AUTH_KEYS_DIR: .*key\.pem .*Allowed: P-256 for ES256"):
        key_ring()


@pytest.mark.parametrize("secret", [b"", b"x" * 31, b"  " + b"x" * 31 + b"\n"])
def test_a_secret_that_is_too_short_is_named(folder, override_auth, secret):
    override_auth(algorithm="HS256", keys_dir=folder)
    folder.mkdir()
    (folder / "a.secret").write_bytes(secret)

    with pytest.raises(ImproperlyConfigured, match=r"a\.secret is too short\. Allowed: .*at least 32 bytes"):
        key_ring()


def damaged(folder):
    (folder / RING_FILE).write_bytes(b'{"version": 1, "keys"')


def of_another_version(folder):
    (folder / RING_FILE).write_bytes(b'{"version": 2, "algorithm": "ES256", "keys": []}')


def without_keys(folder):
    (folder / RING_FILE).write_bytes(b"[]")


def naming_a_file_elsewhere(folder):
    (folder / RING_FILE).write_text((folder / RING_FILE).read_text().replace('"file": "', '"file": "../'))


def with_a_moment_that_is_none(folder):
    (folder / RING_FILE).write_text(
        (folder / RING_FILE).read_text().replace('"verifies_until": null', '"verifies_until": "x"')
    )


def swapped(folder):
    one, two = (folder / name for name in key_files(folder))
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)


def gone(folder):
    (folder / key_files(folder)[0]).unlink()


def half_written(folder):
    path = folder / key_files(folder)[0]
    path.write_bytes(path.read_bytes()[:80])


def a_folder_in_a_file_s_place(folder):
    path = folder / key_files(folder)[0]
    path.unlink()
    path.mkdir()


FAULTS = [
    (damaged, "ring.json is damaged"),
    (of_another_version, "ring.json is damaged"),
    (without_keys, "ring.json is damaged"),
    (naming_a_file_elsewhere, "ring.json is damaged"),
    (with_a_moment_that_is_none, "ring.json is damaged"),
    (swapped, "Restore the right file"),
    (gone, "cannot be read: No such file"),
    (half_written, "is not an unencrypted PEM private key"),
    (a_folder_in_a_file_s_place, "cannot be read: Is a directory"),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_faulty_folder_stops_the_start_with_a_clear_message(folder, fault, words):
    key_ring()
    fault(folder)
    forget()

    with pytest.raises(ImproperlyConfigured, match=words) as refusal:
        key_ring()
    assert str(folder) in str(refusal.value)


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_running_process_goes_on_with_what_it_had_and_says_so(folder, caplog, fault, words):
    signed_in = SignedIn(make_user().username)
    ring = key_ring()
    backup = folder.with_name("backup")
    shutil.copytree(folder, backup)
    fault(folder)

    assert key_ring() == ring
    assert signed_in.content().status_code == 200
    assert words in caplog.text

    shutil.rmtree(folder)
    shutil.copytree(backup, folder)
    assert key_ring() == ring


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_nothing_is_rotated_in_a_faulty_folder(folder, fault, words):
    key_ring()
    fault(folder)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    with pytest.raises(ImproperlyConfigured, match=words):
        key_rotation.rotate()
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_process_looks_at_the_folder_once_in_a_while(folder, monkeypatch):
    moment = 1000.0
    monkeypatch.setattr(ring_module, "monotonic", lambda: moment)
    monkeypatch.setattr(key_rotation, "RELOAD_INTERVAL", 0.25)
    ring = key_ring()
    (folder / RING_FILE).rename(folder / "aside")
    looks = []
    monkeypatch.setattr(ring_module, "_reload", lambda known, *_: looks.append(moment) or known)

    for later, checked_at in [(0.25, [1000.25]), (0.125, [1000.25]), (0.125, [1000.25, 1000.5])]:
        moment += later
        assert (key_ring(), looks) == (ring, checked_at)


def test_a_drop_returns_when_no_process_can_still_think_the_key_good(folder, monkeypatch):
    monkeypatch.setattr(key_rotation, "RELOAD_INTERVAL", 0.1)
    dropped = key_ring().signing.kid
    assert dropped in key_ring().verifying

    key_rotation.drop(dropped)

    assert dropped not in key_ring().verifying


@pytest.mark.parametrize("what", ["gone", "empty", "another's"])
def test_a_folder_that_lost_its_keys_makes_no_others_and_signs_nobody_out(folder, caplog, what):
    """A volume that is not mounted for a moment."""
    signed_in = SignedIn(make_user().username)
    folder.rename(folder.with_name("kept"))
    if what != "gone":
        folder.mkdir()
    if what == "another's":
        mount(folder, a=p256())

    assert signed_in.content().status_code == 200
    assert "The changed signing keys cannot be used" in caplog.text
    assert not folder.exists() or not (folder / RING_FILE).exists()

    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name("kept").rename(folder)
    assert signed_in.content().status_code == 200


def test_a_schedule_in_which_none_signs_is_damaged_and_deletes_nothing(folder):
    key_ring()
    before = key_files(folder)
    (folder / RING_FILE).write_bytes(b'{"version": 1, "algorithm": "ES256", "keys": []}')
    forget()

    with pytest.raises(ImproperlyConfigured, match="damaged"):
        key_ring()
    assert key_files(folder) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("file", "a\u0000b.pem"), ("file", ".."), ("file", "a.txt"), ("published_at", None), ("algorithm", "none")],
)
def test_a_schedule_with_a_strange_entry_is_damaged(folder, name, value):
    key_ring()
    schedule = json.loads((folder / RING_FILE).read_text())
    schedule["keys"][0][name] = value
    (folder / RING_FILE).write_text(json.dumps(schedule))
    forget()

    with pytest.raises(ImproperlyConfigured, match="damaged"):
        key_ring()


def test_a_secret_that_looks_like_another_kind_of_key_is_refused(folder, override_auth):
    override_auth(algorithm="HS256", keys_dir=folder)
    folder.mkdir()
    (folder / "a.secret").write_bytes(p256())

    with pytest.raises(ImproperlyConfigured, match=r"a\.secret is of the wrong kind"):
        key_ring()


def test_a_request_that_meets_faulty_keys_at_first_is_unavailable(folder, api, assert_refused, caplog):
    mount(folder, a=b"damaged")

    answer = api.get("/.well-known/jwks.json")

    assert_refused(answer, 503, "unavailable")
    assert answer["Cache-Control"] == "no-store"
    assert "a.pem" in caplog.text


def test_a_folder_that_is_gone_changes_nothing_for_a_running_process(folder, caplog):
    ring = key_ring()
    shutil.rmtree(folder)
    folder.write_text("no folder")

    assert key_ring() == ring
    assert "cannot be used" in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(folder):
    folder.mkdir(mode=0o500)

    with pytest.raises(ImproperlyConfigured, match="nothing can be kept in"):
        key_ring()


def test_a_file_in_the_folder_s_place_is_named(folder):
    folder.write_text("no folder")

    with pytest.raises(ImproperlyConfigured, match=r"AUTH_KEYS_DIR: .*keys"):
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


def test_the_jwks_is_what_a_verifier_needs_the_next_key_included(api, signed_in):
    answer = api.get("/.well-known/jwks.json")
    published = {key["kid"]: key for key in answer.json()["keys"]}

    assert len(published) == 2
    for key in published.values():
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    kid = jwt.get_unverified_header(signed_in.access_token)["kid"]
    own = auth_settings()
    claims = jwt.decode(
        signed_in.access_token, jwt.PyJWK(published[kid]), ["ES256"], issuer=own.issuer, audience=own.audience
    )
    assert claims["sub"]


def test_the_jwks_is_kept_no_longer_than_the_next_key_waits(api):
    seconds = int(api.get("/.well-known/jwks.json")["Cache-Control"].removeprefix("public, max-age="))

    assert 0 < seconds < key_rotation.PUBLISH_LEAD_TIME


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_private_is_published(api, override_auth, tmp_path, algorithm):
    override_auth(algorithm=algorithm, keys_dir=tmp_path)
    published = api.get("/.well-known/jwks.json").json()["keys"]

    assert len(published) == (0 if algorithm == "HS256" else 2)
    for key in published:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)


def test_a_secret_on_disk_is_written_once(tmp_path):
    path = tmp_path / "folder" / "secret"

    assert read_or_create(path, lambda: b"first") == b"first"
    assert read_or_create(path, lambda: b"second") == b"first"
    assert [file.name for file in path.parent.iterdir()] == ["secret"]


def test_a_new_rsa_key_has_128_bits_of_security(tmp_path):
    assert signing_keys.parse(signing_keys.generate("RS256"), tmp_path / "new.pem").public_key.key_size == 3072
