"""The windows in which guesses are counted: what belongs to one changes nothing in the next."""

import pytest

from accounts.errors import Throttled
from accounts.limits import attempts
from accounts.models import GuessCount
from accounts.values.clients import Client
from tests.conftest import Api
from tests.factories import make_user

SOMEBODY = Client("192.0.2.1", "")


def count():
    return attempts.count_sign_in(SOMEBODY, "1", is_known_network=False)


def test_a_guess_that_is_given_back_late_opens_no_place_in_the_next_window(clock):
    late = [count() for _ in range(5)]
    clock.advance(minutes=15)
    count()

    for guess in late:
        guess.uncount()

    for _ in range(9):
        count()
    with pytest.raises(Throttled):
        count()


def test_a_guess_that_is_given_back_makes_room_in_its_own_window(clock):
    guesses = [count() for _ in range(10)]
    clock.advance(minutes=14)

    guesses[0].uncount()

    count()
    with pytest.raises(Throttled):
        count()


def test_a_guess_whose_counter_is_gone_is_given_back_to_nothing(clock):
    guess = count()
    GuessCount.objects.all().delete()

    guess.uncount()

    assert not GuessCount.objects.exclude(count=0).exists()


def test_retry_after_is_what_is_left_of_the_window(clock):
    make_user("alice")
    for _ in range(10):
        Api().sign_in("alice", "a wrong one")
    clock.advance(minutes=5)

    assert Api().sign_in("alice")["Retry-After"] == "600"
