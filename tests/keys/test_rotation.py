"""The rotate_signing_key command: rotate keys, change the algorithm, drop a key."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from threading import Event

import jwt
import pytest
from django.core.management import CommandError, call_command

from accounts.conf import ALGORITHMS
from accounts.keys import rotation as key_rotation
from accounts.keys.key_ring import key_ring
from accounts.keys.rotation import JWKS_MAX_AGE, PUBLISH_LEAD_TIME
from accounts.keys.schedule import RING_FILE
from tests.conftest import SignedIn
from tests.factories import make_user
from tests.keys.test_signing_keys import clear_cache, key_files, mount, p256_pem


@pytest.fixture
def folder(clock, override_auth, tmp_path):
    override_auth(keys_dir=tmp_path / "keys")
    key_ring()
    return tmp_path / "keys"


def run(*arguments):
    output = StringIO()
    call_command("rotate_signing_key", *arguments, stdout=output)
    return output.getvalue()


def published_kids(api):
    return [key["kid"] for key in api.get("/.well-known/jwks.json").json()["keys"]]


def kid_of(token):
    return jwt.get_unverified_header(token)["kid"]


def test_after_a_rotation_the_previously_published_key_signs(folder, clock, api):
    _, next_kid = published_kids(api)
    clock.advance(seconds=PUBLISH_LEAD_TIME)

    run()

    assert key_ring().signing.kid == next_kid
    assert kid_of(SignedIn(make_user().username).access_token) == next_kid


def test_a_key_signs_only_after_every_cached_jwks_has_expired(folder, clock, api):
    first, next_kid = published_kids(api)
    run()

    clock.advance(seconds=JWKS_MAX_AGE)
    assert key_ring().signing.kid == first

    clock.advance(seconds=PUBLISH_LEAD_TIME - JWKS_MAX_AGE)
    assert key_ring().signing.kid == next_kid


def test_a_rotation_publishes_a_new_next_key(folder, api):
    before = published_kids(api)

    run()

    assert published_kids(api)[:2] == before
    assert len(published_kids(api)) == 3


def test_tokens_of_the_previous_key_stay_valid_until_they_expire(folder, clock, assert_refused):
    signed_in = SignedIn(make_user().username)
    run()
    clock.advance(seconds=PUBLISH_LEAD_TIME - 1)
    signed_in_later = SignedIn(make_user().username)
    assert kid_of(signed_in_later.access_token) == kid_of(signed_in.access_token)

    clock.advance(seconds=900 - 1)
    assert_refused(signed_in.content(), 401, "token_expired")
    assert signed_in_later.content().status_code == 200
    clock.advance(seconds=1)
    assert_refused(signed_in_later.content(), 401, "token_expired")


def test_a_retired_key_is_published_until_its_tokens_have_expired_and_deleted_at_the_next_rotation(
    folder, clock, api
):
    first, next_kid = published_kids(api)
    run()
    clock.advance(seconds=PUBLISH_LEAD_TIME + 900)
    assert first in published_kids(api)

    clock.advance(seconds=61)
    assert first not in published_kids(api)
    assert f"{first}.pem" in key_files(folder)
    run()
    assert f"{first}.pem" not in key_files(folder)
    assert next_kid in published_kids(api)


def test_repeating_the_command_during_a_rotation_changes_nothing(folder, clock):
    first = run()

    clock.advance(seconds=PUBLISH_LEAD_TIME - 1)

    assert run() == first


def test_repeating_the_command_after_a_rotation_rotates_again(folder, clock):
    signing = [key_ring().signing.kid]
    for _ in range(5):
        run()
        clock.advance(seconds=PUBLISH_LEAD_TIME)
        signing.append(key_ring().signing.kid)

    assert len(set(signing)) == 6


def test_an_interruption_before_the_schedule_is_written_changes_no_published_key(folder, monkeypatch, api):
    before, files = published_kids(api), key_files(folder)
    with monkeypatch.context() as patch:
        patch.setattr(key_rotation, "replace_file", _raise_keyboard_interrupt)
        with pytest.raises(KeyboardInterrupt):
            run()
    clear_cache()
    assert published_kids(api) == before

    run()

    assert set(files) < set(key_files(folder))
    assert len(key_files(folder)) == len(published_kids(api)) == 3


def test_a_key_file_that_an_interrupted_run_has_not_deleted_is_deleted_by_the_next_run(
    folder, monkeypatch, clock, api
):
    run()
    clock.advance(seconds=2000)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", _raise_keyboard_interrupt)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert len(key_files(folder)) == 4

    run()

    assert sorted(f"{kid}.pem" for kid in published_kids(api)) == key_files(folder)


def _raise_keyboard_interrupt(*_arguments, **_options):
    raise KeyboardInterrupt


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_algorithm_can_be_changed_while_existing_tokens_stay_valid(
    folder, clock, api, algorithm, assert_refused
):
    signed_in = SignedIn(make_user().username)

    run("--algorithm", algorithm)

    assert key_ring().signing.algorithm == "ES256"
    assert signed_in.content().status_code == 200
    clock.advance(seconds=PUBLISH_LEAD_TIME)
    signed_in_afterwards = SignedIn(make_user().username)
    assert jwt.get_unverified_header(signed_in_afterwards.access_token)["alg"] == algorithm
    assert signed_in_afterwards.content().status_code == signed_in.content().status_code == 200
    assert not any("k" in key for key in api.get("/.well-known/jwks.json").json()["keys"])


def test_a_changed_algorithm_stays_in_use_after_the_next_rotation_and_the_next_start(folder, clock):
    run("--algorithm", "EdDSA")
    clock.advance(seconds=PUBLISH_LEAD_TIME)
    run()
    clock.advance(seconds=PUBLISH_LEAD_TIME)
    clear_cache()
    key_rotation.apply_algorithm_setting(folder, "ES256")

    assert key_ring().signing.algorithm == "EdDSA"


def test_a_change_of_algorithm_replaces_a_rotation_in_progress(folder, clock):
    signed_in = SignedIn(make_user().username)
    run()
    clock.advance(seconds=30)
    run("--algorithm", "EdDSA")
    clock.advance(seconds=PUBLISH_LEAD_TIME - 1)
    signed_in_later = SignedIn(make_user().username)
    assert kid_of(signed_in_later.access_token) == kid_of(signed_in.access_token)

    clock.advance(seconds=1)

    assert key_ring().signing.algorithm == "EdDSA"
    clock.advance(seconds=898)
    assert signed_in_later.content().status_code == 200


def test_a_key_that_signs_longer_than_planned_also_verifies_longer(folder, clock):
    for algorithm in ("EdDSA", "RS256", "EdDSA", "RS256"):
        run("--algorithm", algorithm)
        clock.advance(seconds=50)
    signed_in_later = SignedIn(make_user().username)
    assert key_ring().signing.algorithm == "ES256"

    clock.advance(seconds=899)

    assert signed_in_later.content().status_code == 200


def test_mounted_keys_still_verify_after_a_rotation(clock, override_auth, tmp_path, api):
    folder = tmp_path / "keys"
    override_auth(keys_dir=folder)
    mount(folder, a=p256_pem(), b=p256_pem(), next=p256_pem())
    signed_in = SignedIn(make_user().username)
    before = set(published_kids(api))

    run()

    assert key_ring().signing.kid != kid_of(signed_in.access_token)
    assert set(published_kids(api)) > before
    assert signed_in.content().status_code == 200
    assert {"a.pem", "b.pem", "next.pem"} < set(key_files(folder))


def test_a_rotation_without_an_algorithm_does_not_delay_a_change_of_algorithm_in_progress(folder, clock):
    run("--algorithm", "EdDSA")
    clock.advance(seconds=30)
    run()
    clock.advance(seconds=30)

    assert key_ring().signing.algorithm == "EdDSA"


@pytest.mark.parametrize("seconds", [1, 61, 122])
def test_changing_the_setting_to_the_new_algorithm_changes_no_key(folder, clock, seconds):
    run("--algorithm", "EdDSA")
    clock.advance(seconds=PUBLISH_LEAD_TIME + 1 if seconds > 1 else 0)
    if seconds > 61:
        run()
    before = json.loads((folder / RING_FILE).read_text())

    key_rotation.apply_algorithm_setting(folder, "EdDSA")

    assert json.loads((folder / RING_FILE).read_text()) == {**before, "algorithm": "EdDSA"}


def test_a_schedule_in_a_read_only_folder_is_used(folder, monkeypatch):
    """A secret store can mount a folder that the command created on another machine."""
    monkeypatch.setattr(key_rotation, "open_private", None)
    clear_cache()

    key_rotation.apply_algorithm_setting(folder, "ES256")

    assert key_ring().signing


def test_a_machine_whose_clock_is_behind_uses_the_new_signing_key_immediately_after_a_drop(folder, clock, api):
    signing, next_kid = published_kids(api)
    clock.advance(seconds=5)
    run(f"--drop={signing}")
    clock.advance(seconds=-5)
    clear_cache()

    assert key_ring().signing.kid == next_kid
    assert len(json.loads((folder / RING_FILE).read_text())["keys"]) == 2


def test_temporary_files_of_killed_processes_are_deleted(folder):
    temporary_file = folder / f".{key_ring().signing.kid}.pem.0123456789abcdef"
    temporary_file.write_bytes(p256_pem())

    run()

    assert not temporary_file.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner of a file")
def test_files_that_root_creates_belong_to_the_folder_s_owner(folder):
    for path in (folder, *folder.iterdir()):
        os.chown(path, 65534, 65534)

    run()

    assert {path.stat().st_uid for path in folder.iterdir()} == {65534}


class TestDrop:
    """The option --drop KID."""

    def test_a_key_whose_file_is_missing_can_be_dropped(self, folder, api, assert_refused):
        signed_in = SignedIn(make_user().username)
        kid = kid_of(signed_in.access_token)
        (folder / f"{kid}.pem").unlink()
        assert signed_in.content().status_code == 200

        run(f"--drop={kid}")

        assert_refused(signed_in.content(), 401, "token_invalid")

    def test_a_key_can_be_dropped_while_another_one_is_damaged(self, folder, api, assert_refused):
        signing, next_kid = published_kids(api)
        signed_in = SignedIn(make_user().username)
        (folder / f"{next_kid}.pem").write_bytes(b"damaged")

        run(f"--drop={signing}")

        assert_refused(signed_in.content(), 401, "token_invalid")

    def test_an_interrupted_drop_can_be_repeated(self, folder, monkeypatch, api):
        kid, _ = published_kids(api)
        with monkeypatch.context() as patch:
            patch.setattr("pathlib.Path.unlink", _raise_keyboard_interrupt)
            with pytest.raises(KeyboardInterrupt):
                run(f"--drop={kid}")
        assert f"{kid}.pem" in key_files(folder)

        run(f"--drop={kid}")

        assert f"{kid}.pem" not in key_files(folder)
        assert kid not in published_kids(api)

    def test_tokens_of_a_dropped_key_are_refused_on_the_next_request(self, folder, assert_refused, api):
        signed_in = SignedIn(make_user().username)
        kid = kid_of(signed_in.access_token)

        run(f"--drop={kid}")

        assert_refused(signed_in.content(), 401, "token_invalid")
        assert kid not in published_kids(api)
        assert f"{kid}.pem" not in key_files(folder)

    def test_the_next_key_signs_immediately_and_a_refresh_returns_its_token(self, folder, api):
        _, next_kid = published_kids(api)
        signed_in = SignedIn(make_user().username)
        run("--drop", kid_of(signed_in.access_token))

        signed_in.access_token = signed_in.refresh(signed_in.refresh_token).json()["accessToken"]

        assert kid_of(signed_in.access_token) == next_kid
        assert signed_in.content().status_code == 200
        assert len(published_kids(api)) == 2

    def test_the_next_key_can_be_dropped(self, folder, api):
        first, next_kid = published_kids(api)
        run("--drop", next_kid)

        assert key_ring().signing.kid == first
        assert next_kid not in published_kids(api)
        assert len(published_kids(api)) == 2

    def test_after_a_drop_the_next_key_signs_and_not_the_retired_one(self, folder, clock, api):
        run()
        clock.advance(seconds=PUBLISH_LEAD_TIME)
        retired, signing, next_kid = published_kids(api)
        run(f"--drop={signing}")

        assert key_ring().signing.kid == next_kid
        assert retired in published_kids(api)

    def test_another_key_signs_until_the_scheduled_one_if_the_signing_key_is_dropped(self, folder, clock, api):
        first, scheduled = published_kids(api)
        run()
        run(f"--drop={first}")
        assert key_ring().signing.kid not in {first, scheduled}

        clock.advance(seconds=PUBLISH_LEAD_TIME)

        assert key_ring().signing.kid == scheduled

    def test_another_key_takes_over_on_time_if_the_scheduled_key_is_dropped(self, folder, clock, api):
        first, scheduled = published_kids(api)
        run()
        run(f"--drop={scheduled}")
        _, *others = published_kids(api)

        clock.advance(seconds=PUBLISH_LEAD_TIME - 1)
        assert key_ring().signing.kid == first
        clock.advance(seconds=1)
        assert key_ring().signing.kid in others
        clock.advance(seconds=2000)
        assert key_ring().signing.kid in others

    def test_an_unknown_key_is_refused_with_a_list_of_existing_keys(self, folder):
        with pytest.raises(CommandError, match=rf"There is no key 'x'\. Existing keys: {key_ring().signing.kid}"):
            run("--drop", "x")

    def test_the_file_of_a_dropped_mounted_key_is_deleted(self, clock, override_auth, tmp_path):
        folder = tmp_path / "keys"
        override_auth(keys_dir=folder)
        mount(folder, a=p256_pem(), b=p256_pem())
        run(f"--drop={key_ring().signing.kid}")  # a mounted key's id may begin with -

        assert "b.pem" not in key_files(folder)


def test_the_output_says_what_every_key_does(folder, clock):
    lines = run().splitlines()

    assert [line.partition(": ")[2].split(" 20")[0] for line in lines] == [
        "signs until the next key takes over, verifies until",
        "published, signs from",
        "published, signs next",
    ]


def test_an_unknown_algorithm_is_refused_with_the_allowed_ones(folder):
    with pytest.raises(CommandError, match="choose from"):
        run("--algorithm", "none")


def test_algorithm_and_drop_together_are_refused(folder):
    with pytest.raises(CommandError, match="not allowed with"):
        run("--algorithm", "EdDSA", "--drop", "x")


def test_concurrent_rotations_rotate_once(folder):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: key_rotation.rotate(), range(8)))

    assert len(json.loads((folder / RING_FILE).read_text())["keys"]) == 3


def test_rotations_and_drops_are_logged(folder, events):
    run()
    run("--drop", key_ring().signing.kid)

    assert [line["event"] for line in events()] == ["key:rotated", "key:dropped"]


def test_a_rotation_in_a_read_only_folder_is_refused_with_a_hint(clock, override_auth, tmp_path, monkeypatch):
    override_auth(keys_dir=tmp_path)
    mount(tmp_path, a=p256_pem())

    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(key_rotation, "open_private", refuse)

    with pytest.raises(CommandError, match=r"cannot be written: .* If the keys are mounted"):
        run()


def test_a_reader_never_sees_an_incomplete_rotation(clock, folder):
    """Three threads load the keys repeatedly while another one rotates and drops keys."""
    with ThreadPoolExecutor(4) as pool:
        stop = Event()

        def read():
            while not stop.is_set():
                clear_cache()
                assert key_ring().signing

        readers = [pool.submit(read) for _ in range(3)]
        for _ in range(30):
            clock.advance(seconds=PUBLISH_LEAD_TIME)
            key_rotation.rotate()
            key_rotation.drop(key_ring().signing.kid)
        stop.set()

        for reader in readers:
            reader.result()
