"""Windows of the counters: an attempt in one window does not affect the next."""

import pytest

from accounts.errors import Throttled
from accounts.limits import attempts
from accounts.models import GuessCount
from accounts.values.clients import Client
from tests.conftest import Api
from tests.factories import make_user

CLIENT = Client("192.0.2.1", "")


def count_attempt():
    return attempts.count_sign_in(CLIENT, "1", is_known_network=False)


def test_a_late_uncount_does_not_lower_the_count_of_the_next_window(clock):
    counted = [count_attempt() for _ in range(5)]
    clock.advance(minutes=15)
    count_attempt()

    for attempt in counted:
        attempt.uncount()

    for _ in range(9):
        count_attempt()
    with pytest.raises(Throttled):
        count_attempt()


def test_an_uncount_lowers_the_count_of_its_own_window(clock):
    counted = [count_attempt() for _ in range(10)]
    clock.advance(minutes=14)

    counted[0].uncount()

    count_attempt()
    with pytest.raises(Throttled):
        count_attempt()


def test_an_uncount_of_a_deleted_counter_does_nothing(clock):
    attempt = count_attempt()
    GuessCount.objects.all().delete()

    attempt.uncount()

    assert not GuessCount.objects.exclude(count=0).exists()


def test_retry_after_is_the_rest_of_the_window(clock):
    make_user("alice")
    for _ in range(10):
        Api().sign_in("alice", "a wrong one")
    clock.advance(minutes=5)

    assert Api().sign_in("alice")["Retry-After"] == "600"
