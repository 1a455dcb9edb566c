"""Test when a process looks for logout tokens to deliver: polling, waking, and outages of the database."""

import logging
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from accounts.models import Application
from accounts.sso import logout_dispatch
from accounts.sso.logout_dispatch import IDLE_INTERVAL, POLL_INTERVAL, deliver_soon, poll


class Stopped(BaseException):
    """Ends the endless loop of `poll`."""


class ScriptedDeliverer:
    """Records what `poll` does, and ends it after a number of rounds."""

    def __init__(self, rounds, *, fails=None, wakes=()):
        self.rounds, self.fails, self.wakes = rounds, fails, wakes
        self.starts, self.waits = 0, []

    def start(self):
        self.starts += 1
        if self.fails is not None:
            failure, self.fails = self.fails, None
            raise failure

    def wait(self, seconds):
        self.waits.append(seconds)
        if len(self.waits) == self.rounds:
            raise Stopped
        return len(self.waits) in self.wakes


@pytest.fixture(autouse=True)
def sleeps(monkeypatch):
    """Keep the connection of the test, and record the pauses."""
    paused = []
    monkeypatch.setattr(logout_dispatch, "close_old_connections", lambda: None)
    monkeypatch.setattr(logout_dispatch, "connections", SimpleNamespace(close_all=lambda: None))
    monkeypatch.setattr(logout_dispatch.time, "sleep", paused.append)
    return paused


def run(deliverer):
    with pytest.raises(Stopped):
        poll(deliverer)
    return deliverer


@pytest.fixture
def shop():
    return Application.objects.create(
        client_id="shop", name="Shop", backchannel_logout_uri="https://shop.example/"
    )


def test_without_a_receiver_one_query_a_minute_is_made(django_assert_num_queries):
    Application.objects.create(client_id="shop", name="Shop")

    with django_assert_num_queries(2):  # whether an application has a receiver, and whether anything waits
        deliverer = run(ScriptedDeliverer(rounds=3))

    assert deliverer.starts == 0
    assert deliverer.waits == [IDLE_INTERVAL] * 3


def test_with_a_receiver_deliveries_are_looked_for_every_few_seconds(shop):
    deliverer = run(ScriptedDeliverer(rounds=3))

    assert deliverer.starts == 3
    assert deliverer.waits == [POLL_INTERVAL] * 3


def test_a_process_that_is_woken_looks_at_once():
    deliverer = run(ScriptedDeliverer(rounds=3, wakes={1}))

    assert deliverer.starts == 1
    assert deliverer.waits == [IDLE_INTERVAL, POLL_INTERVAL, IDLE_INTERVAL]


@pytest.mark.parametrize(
    ("failure", "level"), [(OperationalError("secret"), logging.WARNING), (ValueError("secret"), logging.ERROR)]
)
def test_polling_continues_after_a_failure(shop, sleeps, caplog, failure, level):
    deliverer = run(ScriptedDeliverer(rounds=1, fails=failure))

    assert deliverer.starts == 2
    assert sleeps == [POLL_INTERVAL]
    [record] = [record for record in caplog.records if record.name == "accounts.logout_delivery"]
    assert (record.levelno, record.error) == (level, type(failure).__name__)
    assert "secret" not in str(vars(record))


def test_many_wakes_start_one_thread(monkeypatch):
    background, started = logout_dispatch._Background(), []
    monkeypatch.setattr(logout_dispatch, "_background", background)
    monkeypatch.setattr(
        logout_dispatch,
        "Thread",
        lambda **options: SimpleNamespace(start=lambda: started.append(options), is_alive=lambda: True),
    )

    for _ in range(5):
        deliver_soon()

    assert len(started) == 1
    assert started[0]["daemon"] is True
