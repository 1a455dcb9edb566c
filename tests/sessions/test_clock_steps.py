"""The clock is set back or ahead while the service runs: no session is lost, and no token outlives its expiry."""

import pytest

from accounts.keys import rotation as key_rotation
from accounts.keys.key_ring import key_ring
from accounts.models import RefreshToken
from accounts.sessions import validity
from tests.conftest import SignedIn
from tests.factories import make_user

HOUR = 3600
DAY = 24 * HOUR


def shift(clock, seconds):
    clock.advance(seconds=seconds)


@pytest.mark.parametrize("back", [1, 4, 60, HOUR, 20 * HOUR])
def test_a_session_survives_a_clock_that_is_set_back(signed_in, clock, back):
    shift(clock, -back)

    pair = signed_in.refresh(signed_in.refresh_token).json()

    assert signed_in.get("/api/test/user", pair["accessToken"]).status_code == 200
    assert signed_in.refresh(signed_in.refresh_token).json()["refreshToken"] == pair["refreshToken"]
    shift(clock, back)
    assert signed_in.refresh(pair["refreshToken"]).status_code == 200


@pytest.mark.parametrize("ahead", [60, HOUR, 2 * DAY, 60 * DAY])
def test_a_session_survives_a_clock_that_was_ahead_for_a_while(signed_in, clock, ahead):
    shift(clock, ahead)
    signed_in.content()
    status = signed_in.refresh(signed_in.refresh_token).status_code
    assert status == (200 if ahead < DAY else 403)
    shift(clock, -ahead)

    # The second of two refreshes with one token counts as a repetition, even if the clock was set back in between.
    response = signed_in.refresh(signed_in.refresh_token)
    assert response.status_code == 200
    assert signed_in.get("/api/test/user", response.json()["accessToken"]).status_code == 200
    assert signed_in.refresh(response.json()["refreshToken"]).status_code == 200


@pytest.mark.parametrize("ahead", [60, HOUR, 20 * HOUR])
@pytest.mark.parametrize("is_remembered", [True, False])
def test_a_token_issued_by_a_clock_that_was_ahead_is_refused_until_its_nbf(
    signed_in, clock, assert_refused, ahead, is_remembered
):
    shift(clock, ahead)
    token = signed_in.refresh(signed_in.refresh_token).json()["accessToken"]
    if is_remembered:
        assert signed_in.get("/api/test/user", token).status_code == 200
    shift(clock, -ahead)

    assert_refused(signed_in.get("/api/test/user", token), 401, "token_invalid")
    shift(clock, ahead)
    assert signed_in.get("/api/test/user", token).status_code == 200
    shift(clock, 900)
    assert_refused(signed_in.get("/api/test/user", token), 401, "token_expired")


def test_a_refresh_by_a_clock_that_was_ahead_does_not_extend_the_session_lifetime(
    signed_in, clock, override_auth, assert_refused
):
    override_auth(session_lifetime=DAY)
    other = SignedIn(make_user().username)
    shift(clock, DAY - 60)
    refresh_token = other.refresh(other.refresh_token).json()["refreshToken"]
    shift(clock, -DAY)

    shift(clock, DAY + 60)

    assert_refused(other.refresh(refresh_token), 403, "refresh_token_expired")


def test_setting_the_clock_back_does_not_change_when_an_access_token_expires(signed_in, clock, assert_refused):
    assert signed_in.content().status_code == 200
    shift(clock, 901)
    assert_refused(signed_in.content(), 401, "token_expired")
    shift(clock, -2)

    assert signed_in.content().status_code == 200
    shift(clock, 2)
    assert_refused(signed_in.content(), 401, "token_expired")


@pytest.mark.parametrize("seconds", [-DAY, -1, HOUR])
def test_the_revocation_lag_does_not_depend_on_the_wall_clock(
    override_auth, clock, monkeypatch, assert_refused, seconds
):
    now = [1000.0]
    monkeypatch.setattr(validity, "monotonic", lambda: now[0])
    validity._validity_cache.cache_clear()
    override_auth(revocation_lag=60, access_token_lifetime=3 * DAY, refresh_token_lifetime=9 * DAY)
    signed_in = SignedIn(make_user().username)
    shift(clock, DAY)
    signed_in.access_token = signed_in.refresh(signed_in.refresh_token).json()["accessToken"]
    shift(clock, DAY)
    assert signed_in.content().status_code == 200
    RefreshToken.objects.update(ended_at="2020-01-01T00:00:00Z")
    shift(clock, seconds)

    now[0] += 59
    assert signed_in.content().status_code == 200
    now[0] += 1
    assert_refused(signed_in.content(), 401, "token_revoked")
    validity._validity_cache.cache_clear()


def test_keys_retired_by_a_clock_that_was_ahead_verify_again_once_it_is_corrected(
    override_auth, tmp_path, clock, assert_refused
):
    override_auth(keys_dir=tmp_path)
    key_ring()
    shift(clock, HOUR)
    signed_in = SignedIn(make_user().username)
    key_rotation.rotate()
    before = key_ring()
    shift(clock, DAY)
    assert key_ring() != before
    shift(clock, -DAY)

    assert key_ring() == before
    assert signed_in.content().status_code == 200
