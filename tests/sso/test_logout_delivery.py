"""Test that logout tokens reach applications at least once, however receivers and processes fail."""

import json
import logging
import time
from base64 import urlsafe_b64decode
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import jwt
import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.keys.key_ring import key_ring
from accounts.models import Application, LogoutDelivery
from accounts.sso import logout_delivery, receivers
from accounts.sso.logout_delivery import FIRST_PAUSE, LEASE, Deliverer, Outcome, pause_after, retry_now
from tests.sso.receiving import raw_receiver, receiver

EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture(autouse=True)
def _short_deadline(monkeypatch):
    monkeypatch.setattr(receivers, "DEADLINE", 0.5)


def queue(uri, client_id="shop", **fields):
    """Queue the logout of a session, as the end of the session does; return it."""
    Application.objects.get_or_create(
        client_id=client_id, defaults={"name": client_id, "backchannel_logout_uri": uri}
    )
    now = timezone.now()
    values = {"session_id": uuid4(), "subject": "7", "created_at": now, "next_attempt_at": now, **fields}
    return LogoutDelivery.objects.create(client_id=client_id, uri=uri, **values)


def deliver():
    deliverer = Deliverer()
    deliverer.deliver_all()
    return deliverer.outcomes


def decode(token):
    return json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))


def test_a_logout_token_is_signed_and_names_the_session(clock):
    with receiver() as running:
        queued = queue(running.url)

        assert deliver() == {Outcome.DELIVERED: 1}

    [token] = running.tokens
    key = key_ring().signing
    assert jwt.get_unverified_header(token) == {"typ": "logout+jwt", "alg": key.algorithm, "kid": key.kid}
    claims = jwt.decode(token, key.public_key, [key.algorithm], audience="shop", issuer="http://localhost:8000")
    now = int(timezone.now().timestamp())
    assert claims.pop("jti")
    assert claims == {
        "iss": "http://localhost:8000",
        "aud": "shop",
        "iat": now,
        "exp": now + 120,
        "events": {EVENT: {}},
        "sub": "7",
        "sid": str(queued.session_id),
    }


def test_a_delivered_token_is_deleted_and_not_sent_again():
    with receiver() as running:
        queue(running.url)
        deliver()

        assert deliver() == {}
    assert len(running.tokens) == 1
    assert not LogoutDelivery.objects.exists()


@pytest.mark.parametrize("status", [200, 204])
def test_a_success_status_is_a_confirmation(status):
    with receiver() as running:
        running.status = status
        queue(running.url)

        assert deliver() == {Outcome.DELIVERED: 1}


@pytest.mark.parametrize("status", [302, 307, 400, 401, 404, 429, 500, 503])
def test_any_other_status_is_not(status):
    with receiver() as running:
        running.status = status
        queued = queue(running.url)

        assert deliver() == {Outcome.FAILED: 1}
    queued.refresh_from_db()
    assert queued.attempts == 1
    assert len(running.tokens) == 1


def test_a_failed_delivery_is_tried_again_after_growing_pauses(clock):
    pauses = []
    with receiver() as running:
        running.status = 500
        queued = queue(running.url)
        for _ in range(8):
            deliver()
            queued.refresh_from_db()
            pauses.append((queued.next_attempt_at - timezone.now()).total_seconds())
            clock.advance(seconds=pauses[-1] - 1)
            assert deliver() == {}
            clock.advance(seconds=1)
        running.status = 200

        assert deliver() == {Outcome.DELIVERED: 1}
    assert pauses == [5, 20, 80, 320, 1280, 3600, 3600, 3600]
    ids = {decode(token)["jti"] for token in running.tokens}
    assert len(ids) == 9, "a receiver that remembers `jti` would refuse a token that it has seen"


def test_a_pause_never_overflows():
    assert pause_after(1) == FIRST_PAUSE
    assert pause_after(10_000) == timedelta(hours=1)


def test_a_delivery_that_fails_for_days_is_abandoned_with_an_error_that_has_no_secret(clock, caplog):
    with receiver() as running:
        running.status = 500
        queued = queue(running.url)
        clock.advance(days=2)
        assert deliver() == {Outcome.FAILED: 1}
        clock.advance(days=1)

        assert deliver() == {Outcome.ABANDONED: 1}
    assert not LogoutDelivery.objects.exists()
    [error] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (error.client_id, error.session_id) == ("shop", str(queued.session_id))
    assert (error.outcome, error.failure, error.attempts) == ("abandoned", "status 500", 1)
    assert not any(token in str(vars(record)) for record in caplog.records for token in running.tokens)


def test_a_token_that_is_refused_does_not_delay_those_after_it():
    with receiver() as running:
        running.status = 400
        for _ in range(3):
            queue(running.url)

        assert deliver() == {Outcome.FAILED: 3}


def test_a_receiver_that_fails_is_left_alone_with_everything_else_that_is_due(clock):
    with receiver() as running:
        running.status = 500
        for _ in range(30):
            queue(running.url)

        assert deliver() == {Outcome.FAILED: 1}
    assert len(running.tokens) == 1
    assert set(LogoutDelivery.objects.values_list("attempts", flat=True)) == {0, 1}


def test_a_receiver_is_left_alone_for_longer_after_each_failure(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(logout_delivery, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with receiver() as running:
        running.status = 500
        deliverer = Deliverer()
        for rest in (2, 4, 8, 16, 32, 60, 60):
            queue(running.url)
            deliverer.deliver_all()
            sent = len(running.tokens)
            now[0] += rest - 0.1
            queue(running.url)
            deliverer.deliver_all()
            assert len(running.tokens) == sent, rest
            now[0] += 0.1


def test_a_receiver_that_hangs_delays_no_other_one(monkeypatch):
    monkeypatch.setattr(receivers, "DEADLINE", 5)
    arrived_after = []
    with raw_receiver(lambda _: time.sleep(5)) as hanging, receiver() as running:
        for _ in range(50):
            queue(hanging, "a-hanging-one")
        for number in range(5):
            queue(running.url, f"shop-{number}")
        deliverer, started_at = Deliverer(), time.monotonic()
        deliverer.start()
        while LogoutDelivery.objects.exclude(client_id="a-hanging-one").exists():
            assert deliverer.wait(2)
            deliverer.start()
            arrived_after.append(time.monotonic() - started_at)

    assert len(running.tokens) == 5
    assert arrived_after[-1] < 3


def test_many_receivers_that_hang_delay_no_more_than_the_others_that_are_notified_next(monkeypatch):
    monkeypatch.setattr(logout_delivery, "_MAX_RECEIVERS", 2)
    with raw_receiver(lambda _: time.sleep(5)) as hanging, receiver() as running:
        for number in range(4):
            queue(hanging, f"a-hanging-one-{number}")
        queue(running.url, "shop")

        outcomes = deliver()

    assert outcomes == {Outcome.FAILED: 4, Outcome.DELIVERED: 1}


def test_a_large_number_of_deliveries_is_delivered_in_batches():
    with receiver() as running:
        for _ in range(45):
            queue(running.url)

        assert deliver() == {Outcome.DELIVERED: 45}
    assert len({decode(token)["sid"] for token in running.tokens}) == 45


def test_a_delivery_is_leased_by_one_of_two_callers():
    queue("http://127.0.0.1:1/")
    now = timezone.now()
    first = list(LogoutDelivery.objects.due(now))
    second = list(LogoutDelivery.objects.due(now))

    assert [delivery.move(now + LEASE) for delivery in first] == [True]
    assert [delivery.move(now + LEASE * 2) for delivery in second] == [False]
    assert LogoutDelivery.objects.lease(now, now + LEASE, at_most=10) == []


def test_a_lease_of_a_process_that_was_killed_ends(clock):
    with receiver() as running:
        queue(running.url)
        now = timezone.now()
        assert len(LogoutDelivery.objects.lease(now, now + LEASE, at_most=10)) == 1
        assert deliver() == {}

        clock.advance(seconds=LEASE.total_seconds())
        assert deliver() == {Outcome.DELIVERED: 1}


def test_the_address_is_the_one_that_is_registered_now():
    with receiver() as running:
        queue("http://127.0.0.1:1/")
        Application.objects.update(backchannel_logout_uri=running.url)

        assert deliver() == {Outcome.DELIVERED: 1}


def test_a_deleted_application_is_notified_where_it_was():
    with receiver() as running:
        queue(running.url)
        Application.objects.all().delete()

        assert deliver() == {Outcome.DELIVERED: 1}


def test_an_application_without_a_receiver_is_not_notified_any_more():
    queue("http://127.0.0.1:1/")
    Application.objects.update(backchannel_logout_uri="")

    assert deliver() == {}
    assert not LogoutDelivery.objects.exists()


def test_a_fault_of_the_keys_loses_nothing(monkeypatch, caplog):
    def fail(*_, **__):
        raise OSError("/keys/secret.pem")

    monkeypatch.setattr("accounts.sso.logout_tokens.sign", fail)
    queue("http://127.0.0.1:1/")

    assert deliver() == {}
    assert LogoutDelivery.objects.count() == 1
    [error] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert error.error == "OSError"
    assert "secret.pem" not in caplog.text


def test_a_delivery_can_be_tried_again_now(clock):
    with receiver() as running:
        running.status = 500
        queue(running.url)
        deliver()
        running.status = 200
        assert retry_now(LogoutDelivery.objects.all()) == 1

        assert deliver() == {Outcome.DELIVERED: 1}


def test_nothing_due_costs_one_query(django_assert_num_queries):
    queue("http://127.0.0.1:1/", next_attempt_at=timezone.now() + timedelta(minutes=1))

    with django_assert_num_queries(1):
        deliver()


def test_the_command_delivers_what_is_due(capsys):
    with receiver() as running:
        queue(running.url)
        queue("http://127.0.0.1:1/", "other")

        call_command("deliver_logouts")

    assert capsys.readouterr().out == "Delivered 1 logout token(s). 1 failed and will be tried again later.\n"
    assert len(running.tokens) == 1


def test_the_purge_keeps_deliveries():
    queue("http://127.0.0.1:1/", created_at=timezone.now() - timedelta(days=400))

    call_command("purge_expired_tokens", verbosity=0)

    assert LogoutDelivery.objects.count() == 1
