"""The keys that encrypt access tokens: their folder and files, rotation, and the commands."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from accounts.keys import rotation as key_rotation
from accounts.keys import signing_keys
from accounts.keys.folders import encryption_folder
from accounts.keys.key_ring import decryption_keys, encryption_key, key_ring
from accounts.keys.rotation import PUBLISH_LEAD_TIME
from accounts.keys.schedule import RING_FILE
from accounts.tokens import encrypted_tokens
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user
from tests.keys.test_signing_keys import clear_cache, p256_pem
from tests.tokens.test_encrypted_tokens import header_of, inner_of


@pytest.fixture
def folder(clock, override_auth, tmp_path):
    override_auth(keys_dir=tmp_path / "keys", token_encryption=True)
    return tmp_path / "keys" / "encryption"


def key_files(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".jwk")


def new_jwk(**changes):
    return json.dumps({**json.loads(signing_keys.generate("A256GCM")), **changes}).encode()


def run(command="rotate_encryption_key", *arguments):
    output = StringIO()
    call_command(command, *arguments, stdout=output)
    return output.getvalue()


def test_the_first_use_creates_a_key_and_the_next_key_in_a_folder_of_their_own(folder):
    key = encryption_key()

    assert key_files(folder) == sorted(f"{kid}.jwk" for kid in decryption_keys())
    assert len(decryption_keys()) == 2
    assert key.kid in decryption_keys()
    assert set(key_ring().verifying).isdisjoint(decryption_keys())


def test_a_key_file_is_a_jwk_that_only_its_owner_can_read(folder):
    key = encryption_key()

    jwk = json.loads((folder / f"{key.kid}.jwk").read_text())
    assert set(jwk) == {"kty", "k", "kid", "use"}
    assert (jwk["kty"], jwk["kid"], jwk["use"]) == ("oct", key.kid, "enc")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in [*key_files(folder), RING_FILE]} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_folder_that_root_creates_belongs_to_the_owner_of_the_key_folder(folder):
    folder.parent.mkdir()
    os.chown(folder.parent, 12345, 12346)

    run("show_encryption_key")

    for path in (folder, *(path for path in folder.iterdir())):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346), path


def test_no_encryption_key_is_published(folder, api):
    SignedIn(make_user().username)

    assert set(decryption_keys()).isdisjoint(
        key["kid"] for key in api.get("/.well-known/jwks.json").json()["keys"]
    )


def test_processes_that_start_together_create_the_keys_once(folder):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: key_rotation.create_first_keys(*encryption_folder()), range(8)))

    assert len(key_files(folder)) == 2


def test_every_process_decrypts_with_the_next_key_before_it_encrypts(folder, clock):
    signed_in = SignedIn(make_user().username)
    first = encryption_key().kid
    [next_kid] = set(decryption_keys()) - {first}
    token = encrypted_tokens.encrypt(inner_of(signed_in.access_token), decryption_keys()[next_kid])
    assert signed_in.get("/api/test/user", token).status_code == 200

    run()
    clock.advance(seconds=PUBLISH_LEAD_TIME - 1)
    assert encryption_key().kid == first
    clock.advance(seconds=1)
    assert encryption_key().kid == next_kid
    assert header_of(SignedIn(make_user().username).access_token)["kid"] == next_kid


def test_tokens_of_the_previous_key_stay_valid_until_they_expire(folder, clock, assert_refused):
    SignedIn(make_user().username)
    run()
    clock.advance(seconds=PUBLISH_LEAD_TIME - 1)
    signed_in = SignedIn(make_user().username)
    previous = header_of(signed_in.access_token)["kid"]

    clock.advance(seconds=899)
    assert encryption_key().kid != previous
    assert signed_in.content().status_code == 200
    clock.advance(seconds=62)
    assert previous not in decryption_keys()


def test_a_process_reads_a_rotation_by_another_process(folder, clock):
    key = encryption_key()
    run("rotate_encryption_key", f"--drop={key.kid}")

    assert encryption_key().kid != key.kid
    assert key.kid not in decryption_keys()
    assert f"{key.kid}.jwk" not in key_files(folder)


def test_a_rotation_of_one_kind_of_key_leaves_the_other_alone(folder, clock):
    signing, encrypting = dict(key_ring().verifying), dict(decryption_keys())

    run("rotate_encryption_key")
    assert dict(key_ring().verifying) == signing
    run("rotate_signing_key")
    assert set(decryption_keys()) > set(encrypting)
    assert len(decryption_keys()) == 3


def test_the_command_prints_what_each_key_does(folder, clock):
    first = encryption_key().kid
    lines = run().splitlines()

    assert lines[0].startswith(f"{first} A256GCM: encrypts until the next key takes over, decrypts until 20")
    assert "A256GCM: published, encrypts from 20" in lines[1]
    assert lines[2].endswith(" A256GCM: published, encrypts next")


def test_the_export_has_every_key_that_decrypts_now_or_after_the_next_rotation(folder, clock):
    decryption_keys()  # the start of the service creates them
    exported = {key["kid"]: key for key in json.loads(run("show_encryption_key"))["keys"]}
    assert set(exported) == set(decryption_keys())

    run()
    clock.advance(seconds=PUBLISH_LEAD_TIME)
    assert encryption_key().kid in exported


def test_without_encryption_keys_there_is_nothing_to_export(override_auth, tmp_path):
    override_auth(keys_dir=tmp_path / "keys")

    with pytest.raises(CommandError, match="Set AUTH_TOKEN_ENCRYPTION=true"):
        run("show_encryption_key")


def test_no_key_is_exported_from_a_folder_that_does_not_exist(folder):
    with pytest.raises(CommandError, match=r"does not exist\. Allowed: the service's key folder"):
        run("show_encryption_key")

    assert not folder.exists()


def test_mounted_keys_need_no_schedule(folder):
    mounted = {name: new_jwk() for name in ("a", "b", "next")}
    folder.mkdir(parents=True)
    for name, content in mounted.items():
        (folder / f"{name}.jwk").write_bytes(content)

    assert encryption_key().kid == json.loads(mounted["b"])["kid"]
    assert set(decryption_keys()) == {json.loads(content)["kid"] for content in mounted.values()}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"x", b"[]", b"null", b"{}", b"\xff", b'{"k": 1, "kty": "oct"}', b"[" * 5000,
        new_jwk(kty="OKP"), new_jwk(kid="x"), new_jwk(use="sig"), new_jwk(k="AAAA"), new_jwk(k="A" * 42 + "B"), new_jwk(k=None),
        json.dumps(signing_keys.secret_jwk(bytes(16))).encode(), json.dumps(signing_keys.secret_jwk(bytes(33))).encode(),
    ],
)  # fmt: skip
def test_a_file_that_is_no_jwk_of_256_bits_is_refused_and_not_shown(folder, content):
    folder.mkdir(parents=True)
    (folder / "a.jwk").write_bytes(content)

    with pytest.raises(
        ImproperlyConfigured, match=r"AUTH_KEYS_DIR: .*a.jwk is not a JWK for encryption"
    ) as raised:
        encryption_key()
    assert '"k"' not in str(raised.value)


def test_a_key_of_the_other_kind_is_refused_in_either_folder(folder):
    folder.mkdir(parents=True)
    (folder / "a.pem").write_bytes(p256_pem())
    with pytest.raises(ImproperlyConfigured, match="contains the ES256 key"):
        encryption_key()

    (folder.parent / "b.jwk").write_bytes(new_jwk())
    with pytest.raises(ImproperlyConfigured, match="contains the A256GCM key"):
        key_ring()


def test_a_copied_schedule_of_the_other_kind_is_refused(folder):
    encryption_key()
    for path in folder.iterdir():
        (folder.parent / path.name).write_bytes(path.read_bytes())

    with pytest.raises(ImproperlyConfigured, match="contains the A256GCM key"):
        key_ring()


@pytest.fixture(scope="module")
def server(start_server):
    return start_server(AUTH_TOKEN_ENCRYPTION="true", WORKERS="2")


def test_all_processes_of_a_server_follow_a_rotation_and_a_drop(server):
    body = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
    server.post("/api/auth/signup", body)
    pair = server.post("/api/auth/signin", body)[1]

    def statuses(token):
        return {server.request("GET", "/api/test/user", Authorization=f"Bearer {token}")[0] for _ in range(12)}

    assert pair["accessToken"].count(".") == 4
    server.manage("rotate_encryption_key")
    assert statuses(pair["accessToken"]) == {200}

    server.manage("rotate_encryption_key", f"--drop={header_of(pair['accessToken'])['kid']}")
    assert statuses(pair["accessToken"]) == {401}
    pair = server.post("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]})[1]
    assert statuses(pair["accessToken"]) == {200}


def test_a_damaged_change_keeps_the_previous_keys(folder):
    key = encryption_key()
    (folder / RING_FILE).write_text("x")

    assert encryption_key() == key
    clear_cache()
    with pytest.raises(ImproperlyConfigured, match="damaged"):
        encryption_key()
