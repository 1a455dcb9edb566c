"""rotate_signing_key: publish, then sign, then retire; and drop."""

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
from tests.keys.test_signing_keys import forget, key_files, mount, p256


@pytest.fixture
def folder(clock, override_auth, tmp_path):
    override_auth(keys_dir=tmp_path / "keys")
    key_ring()
    return tmp_path / "keys"


def run(*arguments):
    told = StringIO()
    call_command("rotate_signing_key", *arguments, stdout=told)
    return told.getvalue()


def published(api):
    return [key["kid"] for key in api.get("/.well-known/jwks.json").json()["keys"]]


def kid_of(token):
    return jwt.get_unverified_header(token)["kid"]


def test_the_key_that_was_published_before_signs(folder, clock, api):
    _, following = published(api)
    clock.advance(seconds=PUBLISH_LEAD_TIME)

    run()

    assert key_ring().signing.kid == following
    assert kid_of(SignedIn(make_user().username).access_token) == following


def test_a_key_signs_no_sooner_than_every_copy_of_the_jwks_is_replaced(folder, clock, api):
    first, following = published(api)
    run()

    clock.advance(seconds=JWKS_MAX_AGE)
    assert key_ring().signing.kid == first

    clock.advance(seconds=PUBLISH_LEAD_TIME - JWKS_MAX_AGE)
    assert key_ring().signing.kid == following


def test_another_next_key_is_published_with_the_rotation(folder, api):
    before = published(api)

    run()

    assert published(api)[:2] == before
    assert len(published(api)) == 3


def test_old_tokens_stay_good_until_they_expire(folder, clock, assert_refused):
    signed_in = SignedIn(make_user().username)
    run()
    clock.advance(seconds=PUBLISH_LEAD_TIME - 1)
    late = SignedIn(make_user().username)
    assert kid_of(late.access_token) == kid_of(signed_in.access_token)

    clock.advance(seconds=900 - 1)
    assert_refused(signed_in.content(), 401, "token_expired")
    assert late.content().status_code == 200
    clock.advance(seconds=1)
    assert_refused(late.content(), 401, "token_expired")


def test_a_retired_key_is_published_until_then_and_deleted_afterwards(folder, clock, api):
    first, following = published(api)
    run()
    clock.advance(seconds=PUBLISH_LEAD_TIME + 900)
    assert first in published(api)

    clock.advance(seconds=61)
    assert first not in published(api)
    assert f"{first}.pem" in key_files(folder)
    run()
    assert f"{first}.pem" not in key_files(folder)
    assert following in published(api)


def test_to_run_it_again_changes_nothing_while_it_is_under_way(folder, clock):
    first = run()

    clock.advance(seconds=PUBLISH_LEAD_TIME - 1)

    assert run() == first


def test_to_run_it_again_afterwards_rotates_again(folder, clock):
    signing = [key_ring().signing.kid]
    for _ in range(5):
        run()
        clock.advance(seconds=PUBLISH_LEAD_TIME)
        signing.append(key_ring().signing.kid)

    assert len(set(signing)) == 6


def test_an_interruption_before_the_schedule_is_written_leaves_everything_as_it_was(folder, monkeypatch, api):
    before, files = published(api), key_files(folder)
    with monkeypatch.context() as patch:
        patch.setattr(key_rotation, "replace_file", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run()
    forget()
    assert published(api) == before

    run()

    assert set(files) < set(key_files(folder))
    assert len(key_files(folder)) == len(published(api)) == 3


def test_an_interruption_after_it_leaves_a_file_that_the_next_run_deletes(folder, monkeypatch, clock, api):
    run()
    clock.advance(seconds=2000)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.unlink", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert len(key_files(folder)) == 4

    run()

    assert sorted(f"{kid}.pem" for kid in published(api)) == key_files(folder)


def _interrupt(*_arguments, **_options):
    raise KeyboardInterrupt


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_running_service_moves_to_another_algorithm(folder, clock, api, algorithm, assert_refused):
    signed_in = SignedIn(make_user().username)

    run("--algorithm", algorithm)

    assert key_ring().signing.algorithm == "ES256"
    assert signed_in.content().status_code == 200
    clock.advance(seconds=PUBLISH_LEAD_TIME)
    moved = SignedIn(make_user().username)
    assert jwt.get_unverified_header(moved.access_token)["alg"] == algorithm
    assert moved.content().status_code == signed_in.content().status_code == 200
    assert not any("k" in key for key in api.get("/.well-known/jwks.json").json()["keys"])


def test_the_algorithm_stays_with_the_next_rotation_and_the_next_start(folder, clock):
    run("--algorithm", "EdDSA")
    clock.advance(seconds=PUBLISH_LEAD_TIME)
    run()
    clock.advance(seconds=PUBLISH_LEAD_TIME)
    forget()
    key_rotation.apply_algorithm_setting(folder, "ES256")

    assert key_ring().signing.algorithm == "EdDSA"


def test_a_move_takes_the_place_of_a_rotation_under_way(folder, clock):
    signed_in = SignedIn(make_user().username)
    run()
    clock.advance(seconds=30)
    run("--algorithm", "EdDSA")
    clock.advance(seconds=PUBLISH_LEAD_TIME - 1)
    late = SignedIn(make_user().username)
    assert kid_of(late.access_token) == kid_of(signed_in.access_token)

    clock.advance(seconds=1)

    assert key_ring().signing.algorithm == "EdDSA"
    clock.advance(seconds=898)
    assert late.content().status_code == 200


def test_a_key_that_signs_longer_than_was_planned_verifies_longer_too(folder, clock):
    for algorithm in ("EdDSA", "RS256", "EdDSA", "RS256"):
        run("--algorithm", algorithm)
        clock.advance(seconds=50)
    late = SignedIn(make_user().username)
    assert key_ring().signing.algorithm == "ES256"

    clock.advance(seconds=899)

    assert late.content().status_code == 200


def test_mounted_keys_are_taken_over(clock, override_auth, tmp_path, api):
    folder = tmp_path / "keys"
    override_auth(keys_dir=folder)
    mount(folder, a=p256(), b=p256(), next=p256())
    signed_in = SignedIn(make_user().username)
    before = set(published(api))

    run()

    assert key_ring().signing.kid != kid_of(signed_in.access_token)
    assert set(published(api)) > before
    assert signed_in.content().status_code == 200
    assert {"a.pem", "b.pem", "next.pem"} < set(key_files(folder))


def test_a_plain_rotation_leaves_a_move_under_way_to_its_course(folder, clock):
    run("--algorithm", "EdDSA")
    clock.advance(seconds=30)
    run()
    clock.advance(seconds=30)

    assert key_ring().signing.algorithm == "EdDSA"


@pytest.mark.parametrize("seconds", [1, 61, 122])
def test_a_setting_that_follows_a_move_changes_nothing_but_the_setting(folder, clock, seconds):
    run("--algorithm", "EdDSA")
    clock.advance(seconds=PUBLISH_LEAD_TIME + 1 if seconds > 1 else 0)
    if seconds > 61:
        run()
    before = json.loads((folder / RING_FILE).read_text())

    key_rotation.apply_algorithm_setting(folder, "EdDSA")

    assert json.loads((folder / RING_FILE).read_text()) == {**before, "algorithm": "EdDSA"}


def test_a_folder_for_reading_alone_is_served_from(folder, monkeypatch):
    """A secret store has mounted what the command made elsewhere."""
    monkeypatch.setattr(key_rotation, "open_private", None)
    forget()

    key_rotation.apply_algorithm_setting(folder, "ES256")

    assert key_ring().signing


def test_a_machine_whose_clock_is_behind_agrees_at_once_on_what_signs_after_a_drop(folder, clock, api):
    signing, following = published(api)
    clock.advance(seconds=5)
    run("--drop", signing)
    clock.advance(seconds=-5)
    forget()

    assert key_ring().signing.kid == following
    assert len(json.loads((folder / RING_FILE).read_text())["keys"]) == 2


def test_what_the_killed_have_left_is_deleted(folder):
    draft = folder / f".{key_ring().signing.kid}.pem.0123456789abcdef"
    draft.write_bytes(p256())

    run()

    assert not draft.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files that are somebody else's")
def test_run_as_root_it_locks_the_folder_s_owner_out_of_nothing(folder):
    for path in (folder, *folder.iterdir()):
        os.chown(path, 65534, 65534)

    run()

    assert {path.stat().st_uid for path in folder.iterdir()} == {65534}


class TestDrop:
    """--drop KID."""

    def test_of_a_key_whose_file_is_damaged_or_gone(self, folder, api, assert_refused):
        signed_in = SignedIn(make_user().username)
        kid = kid_of(signed_in.access_token)
        (folder / f"{kid}.pem").unlink()
        assert signed_in.content().status_code == 200

        run("--drop", kid)

        assert_refused(signed_in.content(), 401, "token_invalid")

    def test_works_though_another_key_is_damaged(self, folder, api, assert_refused):
        signing, following = published(api)
        signed_in = SignedIn(make_user().username)
        (folder / f"{following}.pem").write_bytes(b"damaged")

        run("--drop", signing)

        assert_refused(signed_in.content(), 401, "token_invalid")

    def test_that_was_interrupted_is_run_again(self, folder, monkeypatch, api):
        kid, _ = published(api)
        with monkeypatch.context() as patch:
            patch.setattr("pathlib.Path.unlink", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                run("--drop", kid)
        assert f"{kid}.pem" in key_files(folder)

        run("--drop", kid)

        assert f"{kid}.pem" not in key_files(folder)
        assert kid not in published(api)

    def test_tokens_of_the_key_fail_with_the_next_request(self, folder, assert_refused, api):
        signed_in = SignedIn(make_user().username)
        kid = kid_of(signed_in.access_token)

        run("--drop", kid)

        assert_refused(signed_in.content(), 401, "token_invalid")
        assert kid not in published(api)
        assert f"{kid}.pem" not in key_files(folder)

    def test_another_one_signs_at_once_and_a_refresh_brings_its_token(self, folder, api):
        _, following = published(api)
        signed_in = SignedIn(make_user().username)
        run("--drop", kid_of(signed_in.access_token))

        signed_in.access_token = signed_in.refresh(signed_in.refresh_token).json()["accessToken"]

        assert kid_of(signed_in.access_token) == following
        assert signed_in.content().status_code == 200
        assert len(published(api)) == 2

    def test_the_next_key_is_dropped_too(self, folder, api):
        first, following = published(api)
        run("--drop", following)

        assert key_ring().signing.kid == first
        assert following not in published(api)
        assert len(published(api)) == 2

    def test_a_retired_key_does_not_sign_again(self, folder, clock, api):
        run()
        clock.advance(seconds=PUBLISH_LEAD_TIME)
        retired, signing, following = published(api)
        run("--drop", signing)

        assert key_ring().signing.kid == following
        assert retired in published(api)

    def test_during_a_rotation(self, folder, clock, api):
        first, scheduled = published(api)
        run()
        run("--drop", first)
        assert key_ring().signing.kid not in {first, scheduled}

        clock.advance(seconds=PUBLISH_LEAD_TIME)

        assert key_ring().signing.kid == scheduled

    def test_the_scheduled_key_during_a_rotation(self, folder, clock, api):
        first, scheduled = published(api)
        run()
        run("--drop", scheduled)
        _, *others = published(api)

        clock.advance(seconds=PUBLISH_LEAD_TIME - 1)
        assert key_ring().signing.kid == first
        clock.advance(seconds=1)
        assert key_ring().signing.kid in others
        clock.advance(seconds=2000)
        assert key_ring().signing.kid in others

    def test_an_unknown_key_is_named_with_the_known_ones(self, folder):
        with pytest.raises(CommandError, match=rf"There is no key 'x'\. Existing keys: {key_ring().signing.kid}"):
            run("--drop", "x")

    def test_a_mounted_key_is_deleted(self, clock, override_auth, tmp_path):
        folder = tmp_path / "keys"
        override_auth(keys_dir=folder)
        mount(folder, a=p256(), b=p256())
        run("--drop", key_ring().signing.kid)

        assert "b.pem" not in key_files(folder)


def test_it_tells_what_every_key_does(folder, clock):
    told = run().splitlines()

    assert [line.partition(": ")[2].split(" 20")[0] for line in told] == [
        "signs until the next key takes over, verifies until",
        "published, signs from",
        "published, signs next",
    ]


def test_a_wrong_algorithm_is_refused_with_those_allowed(folder):
    with pytest.raises(CommandError, match="choose from"):
        run("--algorithm", "none")


def test_both_at_once_are_refused(folder):
    with pytest.raises(CommandError, match="not allowed with"):
        run("--algorithm", "EdDSA", "--drop", "x")


def test_rotations_at_once_are_one(folder):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: key_rotation.rotate(), range(8)))

    assert len(json.loads((folder / RING_FILE).read_text())["keys"]) == 3


def test_rotations_are_told(folder, events):
    run()
    run("--drop", key_ring().signing.kid)

    assert [line["event"] for line in events()] == ["key:rotated", "key:dropped"]


def test_a_folder_for_reading_alone_is_named(clock, override_auth, tmp_path, monkeypatch):
    override_auth(keys_dir=tmp_path)
    mount(tmp_path, a=p256())

    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(key_rotation, "open_private", refuse)

    with pytest.raises(CommandError, match=r"cannot be written: .* If the keys are mounted"):
        run()


def test_a_process_that_only_reads_never_sees_a_half_done_rotation(clock, folder):
    """Readers go on while rotations and drops follow each other; none of them meets a fault."""
    with ThreadPoolExecutor(4) as pool:
        stop = Event()

        def read():
            while not stop.is_set():
                forget()
                assert key_ring().signing

        readers = [pool.submit(read) for _ in range(3)]
        for _ in range(30):
            clock.advance(seconds=PUBLISH_LEAD_TIME)
            key_rotation.rotate()
            key_rotation.drop(key_ring().signing.kid)
        stop.set()

        for reader in readers:
            reader.result()
