"""Signing keys: their files, how processes load and reload them, and the published JWKS."""

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


def p256_pem():
    return pem(ec.generate_private_key(ec.SECP256R1()))


def key_files(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix in {".pem", ".secret"})


def clear_cache():
    """Clear the keys in memory, as in a process that has just started."""
    ring_module._cache.clear()


def mount(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.pem").write_bytes(content)


def test_the_first_start_creates_a_signing_key_and_the_next_key(folder):
    ring = key_ring()

    assert len(ring.verifying) == 2
    assert next(iter(ring.verifying)) == ring.signing.kid
    assert key_files(folder) == sorted(f"{kid}.pem" for kid in ring.verifying)


def test_only_the_owner_can_read_the_key_files(folder):
    key_ring()

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        if path.name != ".lock":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_first_start_that_takes_seconds_succeeds(override_auth, tmp_path, clock, monkeypatch):
    override_auth(keys_dir=tmp_path / "keys")
    generate = signing_keys.generate
    monkeypatch.setattr(
        signing_keys, "generate", lambda algorithm: (clock.advance(seconds=1), generate(algorithm))[1]
    )
    create_first_keys = key_rotation.create_first_keys
    monkeypatch.setattr(
        key_rotation,
        "create_first_keys",
        lambda *arguments: (clock.advance(seconds=2), create_first_keys(*arguments)),
    )

    assert key_ring().signing


def test_the_next_start_loads_the_same_keys(folder):
    ring = key_ring()
    clear_cache()

    assert key_ring() == ring


def test_processes_that_start_together_create_the_keys_once(folder):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: key_rotation.create_first_keys(folder, "ES256"), range(8)))

    assert len(key_files(folder)) == 2
    assert key_ring().signing.kid


def test_the_last_mounted_key_by_name_signs_and_all_mounted_keys_verify(folder):
    mount(folder, a=p256_pem(), b=p256_pem())

    ring = key_ring()

    assert ring.signing == signing_keys.load(folder / "b.pem")
    assert len(ring.verifying) == 2
    assert not (folder / RING_FILE).exists()


def test_a_mounted_key_of_the_configured_algorithm_signs(folder):
    mount(folder, a=p256_pem(), b=signing_keys.generate("EdDSA"))

    assert key_ring().signing == signing_keys.load(folder / "a.pem")


@pytest.mark.parametrize("algorithm", ["ES256", "HS256"])
def test_no_kid_starts_with_a_hyphen(algorithm, monkeypatch):
    """Commands would parse such a kid as an option."""
    calls = []
    parse = signing_keys.parse

    def parse_with_three_leading_hyphens(content, path):
        calls.append(path)
        key = parse(content, path)
        kid = key.kid.lstrip("-")  # one random kid in 64 starts with a hyphen
        return replace(key, kid=kid if len(calls) > 3 else f"-{kid}")

    monkeypatch.setattr(signing_keys, "parse", parse_with_three_leading_hyphens)
    signing_keys.generate(algorithm)

    assert len(calls) == 4


def test_a_mounted_key_named_next_is_published_but_does_not_sign(folder):
    mount(folder, a=p256_pem(), **{"next-1": p256_pem()})

    ring = key_ring()

    assert ring.signing == signing_keys.load(folder / "a.pem")
    assert len(ring.jwks()["keys"]) == 2


def test_mounted_keys_in_a_read_only_folder_are_used(folder):
    mount(folder, a=p256_pem())
    folder.chmod(0o500)

    assert key_ring().signing
    assert key_files(folder) == ["a.pem"]


def test_a_key_is_created_if_no_mounted_key_has_the_configured_algorithm(folder, override_auth):
    mount(folder, a=p256_pem())
    override_auth(algorithm="EdDSA", keys_dir=folder)

    ring = key_ring()

    assert ring.signing.algorithm == "EdDSA"
    assert signing_keys.load(folder / "a.pem").kid in ring.verifying


def test_a_changed_algorithm_setting_takes_effect_at_the_next_start(folder, override_auth):
    old = key_ring().signing
    override_auth(algorithm="EdDSA", keys_dir=folder)
    assert key_ring().signing == old

    key_rotation.apply_algorithm_setting(folder, "EdDSA")

    ring = key_ring()
    assert ring.signing.algorithm == "EdDSA"
    assert old.kid in ring.verifying


def test_an_unchanged_algorithm_setting_does_not_undo_a_change_of_algorithm(folder):
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
        p256_pem()[:100],
        p256_pem()[:-30],
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
def test_an_unusable_key_file_is_reported_with_what_is_allowed(folder, content):
    mount(folder, key=content)

    with pytest.raises(ImproperlyConfigured, match=r"AUTH_KEYS_DIR: .*key\.pem .*Allowed: P-256 for ES256"):
        key_ring()


@pytest.mark.parametrize("secret", [b"", b"x" * 31, b"  " + b"x" * 31 + b"\n"])
def test_a_secret_shorter_than_32_bytes_is_reported(folder, override_auth, secret):
    override_auth(algorithm="HS256", keys_dir=folder)
    folder.mkdir()
    (folder / "a.secret").write_bytes(secret)

    with pytest.raises(ImproperlyConfigured, match=r"a\.secret is too short\. Allowed: .*at least 32 bytes"):
        key_ring()


def truncate_schedule(folder):
    (folder / RING_FILE).write_bytes(b'{"version": 1, "keys"')


def set_unknown_version(folder):
    (folder / RING_FILE).write_bytes(b'{"version": 2, "algorithm": "ES256", "keys": []}')


def write_list_as_schedule(folder):
    (folder / RING_FILE).write_bytes(b"[]")


def refer_to_a_file_outside_the_folder(folder):
    (folder / RING_FILE).write_text((folder / RING_FILE).read_text().replace('"file": "', '"file": "../'))


def write_invalid_time(folder):
    (folder / RING_FILE).write_text(
        (folder / RING_FILE).read_text().replace('"verifies_until": null', '"verifies_until": "x"')
    )


def swap_key_files(folder):
    first, second = (folder / name for name in key_files(folder))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def delete_key_file(folder):
    (folder / key_files(folder)[0]).unlink()


def truncate_key_file(folder):
    path = folder / key_files(folder)[0]
    path.write_bytes(path.read_bytes()[:80])


def replace_key_file_with_a_folder(folder):
    path = folder / key_files(folder)[0]
    path.unlink()
    path.mkdir()


DAMAGES = [
    (truncate_schedule, "ring.json is damaged"),
    (set_unknown_version, "ring.json is damaged"),
    (write_list_as_schedule, "ring.json is damaged"),
    (refer_to_a_file_outside_the_folder, "ring.json is damaged"),
    (write_invalid_time, "ring.json is damaged"),
    (swap_key_files, "Restore the right file"),
    (delete_key_file, "cannot be read: No such file"),
    (truncate_key_file, "is not an unencrypted PEM private key"),
    (replace_key_file_with_a_folder, "cannot be read: Is a directory"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])
def test_a_damaged_folder_prevents_the_start_with_a_clear_message(folder, damage, message):
    key_ring()
    damage(folder)
    clear_cache()

    with pytest.raises(ImproperlyConfigured, match=message) as caught:
        key_ring()
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])
def test_a_running_process_logs_a_damaged_folder_and_continues_with_its_keys(folder, caplog, damage, message):
    signed_in = SignedIn(make_user().username)
    ring = key_ring()
    backup = folder.with_name("backup")
    shutil.copytree(folder, backup)
    damage(folder)

    assert key_ring() == ring
    assert signed_in.content().status_code == 200
    assert message in caplog.text

    shutil.rmtree(folder)
    shutil.copytree(backup, folder)
    assert key_ring() == ring


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])
def test_a_rotation_in_a_damaged_folder_is_refused_and_changes_no_file(folder, damage, message):
    key_ring()
    damage(folder)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    with pytest.raises(ImproperlyConfigured, match=message):
        key_rotation.rotate()
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_process_checks_the_folder_once_per_interval(folder, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(ring_module, "monotonic", lambda: now)
    monkeypatch.setattr(key_rotation, "RELOAD_INTERVAL", 0.25)
    ring = key_ring()
    (folder / RING_FILE).rename(folder / "aside")
    reloaded_at = []
    monkeypatch.setattr(ring_module, "_reload", lambda cached, *_: reloaded_at.append(now) or cached)

    for seconds, expected in [(0.25, [1000.25]), (0.125, [1000.25]), (0.125, [1000.25, 1000.5])]:
        now += seconds
        assert (key_ring(), reloaded_at) == (ring, expected)


def test_when_a_drop_returns_no_process_accepts_the_key(folder, monkeypatch):
    monkeypatch.setattr(key_rotation, "RELOAD_INTERVAL", 0.1)
    dropped = key_ring().signing.kid
    assert dropped in key_ring().verifying

    key_rotation.drop(dropped)

    assert dropped not in key_ring().verifying


@pytest.mark.parametrize("folder_state", ["missing", "empty", "other keys"])
def test_while_the_folder_has_lost_its_keys_no_new_ones_are_created_and_no_user_is_signed_out(
    folder, caplog, folder_state
):
    """The folder looks like this while its volume is not mounted."""
    signed_in = SignedIn(make_user().username)
    folder.rename(folder.with_name("aside"))
    if folder_state != "missing":
        folder.mkdir()
    if folder_state == "other keys":
        mount(folder, a=p256_pem())

    assert signed_in.content().status_code == 200
    assert "The changed signing keys cannot be used" in caplog.text
    assert not folder.exists() or not (folder / RING_FILE).exists()

    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name("aside").rename(folder)
    assert signed_in.content().status_code == 200


def test_a_schedule_without_a_signing_key_is_damaged_and_deletes_no_file(folder):
    key_ring()
    before = key_files(folder)
    (folder / RING_FILE).write_bytes(b'{"version": 1, "algorithm": "ES256", "keys": []}')
    clear_cache()

    with pytest.raises(ImproperlyConfigured, match="damaged"):
        key_ring()
    assert key_files(folder) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("file", "a\u0000b.pem"), ("file", ".."), ("file", "a.txt"), ("published_at", None), ("algorithm", "none")],
)
def test_a_schedule_with_an_invalid_entry_is_damaged(folder, name, value):
    key_ring()
    schedule = json.loads((folder / RING_FILE).read_text())
    schedule["keys"][0][name] = value
    (folder / RING_FILE).write_text(json.dumps(schedule))
    clear_cache()

    with pytest.raises(ImproperlyConfigured, match="damaged"):
        key_ring()


def test_a_secret_file_that_contains_a_private_key_is_refused(folder, override_auth):
    override_auth(algorithm="HS256", keys_dir=folder)
    folder.mkdir()
    (folder / "a.secret").write_bytes(p256_pem())

    with pytest.raises(ImproperlyConfigured, match=r"a\.secret is of the wrong kind"):
        key_ring()


def test_a_first_request_that_cannot_load_the_keys_is_refused_as_unavailable(folder, api, assert_refused, caplog):
    mount(folder, a=b"damaged")

    response = api.get("/.well-known/jwks.json")

    assert_refused(response, 503, "unavailable")
    assert response["Cache-Control"] == "no-store"
    assert "a.pem" in caplog.text


def test_a_running_process_continues_with_its_keys_if_the_folder_is_replaced_by_a_file(folder, caplog):
    ring = key_ring()
    shutil.rmtree(folder)
    folder.write_text("not a folder")

    assert key_ring() == ring
    assert "cannot be used" in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write to any folder")
def test_a_first_start_in_a_read_only_folder_is_refused(folder):
    folder.mkdir(mode=0o500)

    with pytest.raises(ImproperlyConfigured, match="cannot be written"):
        key_ring()


def test_a_first_start_with_a_file_in_place_of_the_folder_is_refused(folder):
    folder.write_text("not a folder")

    with pytest.raises(ImproperlyConfigured, match=r"AUTH_KEYS_DIR: .*keys"):
        key_ring()


def test_the_repr_of_a_key_ring_contains_no_private_key(folder):
    assert "private" not in repr(key_ring()).lower()


def test_the_thumbprint_matches_the_example_of_rfc_7638():
    """Section 3.1."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3ok"
        "njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6"
        "qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa"
        "pJzKnqDKgw"
    )

    assert thumbprint({"kty": "RSA", "n": modulus, "e": "AQAB"}) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_the_jwks_contains_what_a_verifier_needs_and_the_next_key(api, signed_in):
    response = api.get("/.well-known/jwks.json")
    published = {key["kid"]: key for key in response.json()["keys"]}

    assert len(published) == 2
    for key in published.values():
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    kid = jwt.get_unverified_header(signed_in.access_token)["kid"]
    settings = auth_settings()
    claims = jwt.decode(
        signed_in.access_token,
        jwt.PyJWK(published[kid]),
        ["ES256"],
        issuer=settings.issuer,
        audience=settings.audience,
    )
    assert claims["sub"]


def test_the_jwks_expires_from_caches_before_the_next_key_signs(api):
    seconds = int(api.get("/.well-known/jwks.json")["Cache-Control"].removeprefix("public, max-age="))

    assert 0 < seconds < key_rotation.PUBLISH_LEAD_TIME


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_private_key_or_secret_is_published(api, override_auth, tmp_path, algorithm):
    override_auth(algorithm=algorithm, keys_dir=tmp_path)
    published = api.get("/.well-known/jwks.json").json()["keys"]

    assert len(published) == (0 if algorithm == "HS256" else 2)
    for key in published:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)


def test_an_existing_secret_file_is_not_overwritten(tmp_path):
    path = tmp_path / "folder" / "secret"

    assert read_or_create(path, lambda: b"first") == b"first"
    assert read_or_create(path, lambda: b"second") == b"first"
    assert [file.name for file in path.parent.iterdir()] == ["secret"]


def test_a_new_rsa_key_has_128_bits_of_security(tmp_path):
    assert signing_keys.parse(signing_keys.generate("RS256"), tmp_path / "new.pem").public_key.key_size == 3072
