"""Guessing codes: the limit that holds for days, whichever way the code is presented."""

import pytest

from accounts.limits.attempts import CODE_LIMIT
from tests.conftest import Api
from tests.factors.conftest import second_step

ELSEWHERE = "203.0.113.9"


@pytest.fixture
def guessed(with_app, clock):
    """Use up CODE_LIMIT from a network that the owner has not used, as slowly as AUTH_ACCOUNT_LIMIT allows."""
    attacker = Api(REMOTE_ADDR=ELSEWHERE)
    for number in range(CODE_LIMIT.amount):
        if number % 9 == 0:
            clock.advance(minutes=15)
        response = second_step(attacker, with_app.user.username, code="000000")
        assert response.json()["code"] == "invalid_code"
    clock.advance(minutes=15)
    return with_app


def test_twenty_wrong_codes_a_day_are_all_that_a_password_allows(guessed, clock, assert_refused):
    attacker, name = Api(REMOTE_ADDR=ELSEWHERE), guessed.user.username
    assert_refused(second_step(attacker, name, code=guessed.app.code()), 429, "throttled")
    token = attacker.refresh(guessed.refresh_token).json()["accessToken"]
    reauthenticated = attacker.post("/api/auth/reauthenticate", {"code": "000000"}, token)
    assert_refused(reauthenticated, 429, "throttled")
    clock.advance(days=1)
    assert_refused(second_step(attacker, name, code="000000"), 403, "invalid_code")


def test_guesses_elsewhere_do_not_lock_the_owner_out(guessed):
    name = guessed.user.username
    assert second_step(Api(REMOTE_ADDR=ELSEWHERE), name, recoveryCode=guessed.recovery_codes[0]).status_code == 200
    assert second_step(Api(), name, code=guessed.app.code()).status_code == 200


def test_right_codes_do_not_count(with_app, clock):
    for _ in range(CODE_LIMIT.amount + 1):
        clock.advance(seconds=60)
        assert second_step(Api(), with_app.user.username, code=with_app.app.code()).status_code == 200
