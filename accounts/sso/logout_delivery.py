"""Deliver logout tokens to applications whose sessions have ended (OpenID Connect Back-Channel Logout 1.0).

The transaction that ends a session stores a `LogoutDelivery`, which is deleted once the application has confirmed
it, and attempted again with growing pauses until then. So each token is delivered at least once, whichever process
is killed when. `logout_dispatch` decides when a process delivers.

A process uses the database from one thread, and has another thread for each application that it is notifying, so
that a receiver that hangs delays no other one. After a failure, a receiver is left alone for a while.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Application, LogoutDelivery
from accounts.sso import logout_tokens, receivers
from accounts.sso.receivers import ReceiverFailed

LEASE = timedelta(seconds=30)
"""After which the deliveries of a process that was killed are due again."""

GIVE_UP_AFTER = timedelta(days=3)
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)

_BATCH_SIZE = 20  # deliveries to one application that are leased at once
_BATCH_DURATION = 20  # seconds; with the last attempt, less than LEASE
_MAX_RECEIVERS = 32  # that one process notifies at the same time
_LONGEST_REST = 60  # seconds for which a process leaves a receiver alone after failures

_TOKEN_REFUSED = "status 400"  # noqa: S105  the only failure that is about the token and not the receiver

logger = logging.getLogger("accounts.logout_delivery")


class Outcome(StrEnum):
    """What became of an attempt to deliver a logout token."""

    DELIVERED = "delivered"
    FAILED = "failed"
    ABANDONED = "abandoned"


_LOG: Mapping[Outcome, tuple[int, str]] = {
    Outcome.DELIVERED: (logging.INFO, "A logout token was delivered."),
    Outcome.FAILED: (logging.WARNING, "A logout token was not delivered. It is tried again later."),
    Outcome.ABANDONED: (logging.ERROR, "A logout token could not be delivered. It is not tried again."),
}


@dataclass(slots=True)
class _Batch:
    """Leased deliveries to one application, and what became of them."""

    client_id: str
    uri: str
    untried: list[LogoutDelivery]
    delivered: list[LogoutDelivery] = field(default_factory=list)
    failed: list[tuple[LogoutDelivery, str]] = field(default_factory=list)
    has_receiver_failed: bool = False

    def attempt(self) -> None:
        """Send the logout tokens in order. Stop when the receiver fails, or after _BATCH_DURATION."""
        ends_at = time.monotonic() + _BATCH_DURATION
        while self.untried and not self.has_receiver_failed and time.monotonic() < ends_at:
            delivery = self.untried[0]
            failure = _attempt(delivery, self.uri)
            self.untried.pop(0)
            if failure is None:
                self.delivered.append(delivery)
            else:
                self.failed.append((delivery, failure))
                self.has_receiver_failed = failure != _TOKEN_REFUSED


@dataclass(slots=True)
class _Rest:
    """Until when a receiver is left alone (monotonic clock), and after how many failures in a row."""

    failures: int = 0
    until: float = float("-inf")

    def extend(self) -> timedelta:
        """Count a failure, and return how long the receiver is left alone now."""
        self.failures += 1
        seconds: int = min(2**self.failures, _LONGEST_REST)
        self.until = time.monotonic() + seconds
        return timedelta(seconds=seconds)


class Deliverer:
    """Delivers what is due. Only `wake` may be called from several threads.

    Methods that use the database raise django.db.DatabaseError or InterfaceError if it cannot be used.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self._inbox: SimpleQueue[_Batch | None] = SimpleQueue()
        self._busy: set[str] = set()
        self._rests: dict[str, _Rest] = {}

    def wake(self) -> None:
        """End the call of `wait` that another thread is in, or is about to begin."""
        self._inbox.put(None)

    @property
    def is_awake(self) -> bool:
        """Whether `wait` would return immediately."""
        return not self._inbox.empty()

    def deliver_all(self) -> None:
        """Deliver what is due. Returns when nothing is, except for receivers that are left alone."""
        self.start()
        while self._busy:
            self.wait(None)
            self.start()

    def start(self) -> None:
        """Start to deliver what is due to the applications that are not being notified already."""
        now = timezone.now()
        if not LogoutDelivery.objects.due(now).exists():
            return
        for client_id in _due_receivers(now):
            if len(self._busy) >= _MAX_RECEIVERS:
                return
            if client_id not in self._busy and not self._is_resting(client_id):
                self._start_batch(client_id, now)

    def wait(self, seconds: float | None) -> bool:
        """Wait until a batch is finished or `wake` is called, and store what became of it.

        Returns False if neither happens within the time.
        """
        try:
            messages = [self._inbox.get(timeout=seconds)]
        except Empty:
            return False
        while self.is_awake:
            messages.append(self._inbox.get())
        for batch in messages:
            if batch is not None:
                self._busy.discard(batch.client_id)
                self._settle(batch)
        return True

    def _is_resting(self, client_id: str) -> bool:
        rest = self._rests.get(client_id)
        return rest is not None and rest.until > time.monotonic()

    def _start_batch(self, client_id: str, now: datetime) -> None:
        rows = LogoutDelivery.objects.filter(client_id=client_id)
        leased = rows.lease(now, now + LEASE, at_most=_BATCH_SIZE)
        if not leased:
            return
        uri = _current_uri(leased[-1])
        if uri:
            self._busy.add(client_id)
            batch = _Batch(client_id, uri, leased)
            # A daemon, so that a process that stops does not wait for a receiver.
            Thread(target=self._run, args=[batch], name=f"logout-{client_id}", daemon=True).start()
        else:  # an operator removed the receiver
            rows.filter(pk__in=[delivery.pk for delivery in leased]).delete()

    def _run(self, batch: _Batch) -> None:
        try:
            batch.attempt()
        except Exception as error:  # noqa: BLE001  this thread has no caller, and its batch must be settled
            logger.error("Logout tokens cannot be issued.", extra={"error": type(error).__name__})  # noqa: TRY400
            batch.has_receiver_failed = True
        finally:
            self._inbox.put(batch)

    def _settle(self, batch: _Batch) -> None:
        now, pause = timezone.now(), timedelta()
        if batch.has_receiver_failed:
            pause = self._rests.setdefault(batch.client_id, _Rest()).extend()
        else:
            self._rests.pop(batch.client_id, None)
        LogoutDelivery.objects.filter(pk__in=[delivery.pk for delivery in batch.delivered]).delete()
        for delivery in batch.delivered:
            self._record(Outcome.DELIVERED, delivery)
        for delivery, failure in batch.failed:
            self._record(_settle_failure(delivery, now), delivery, failure=failure, attempts=delivery.attempts)
        for delivery in batch.untried:
            delivery.move(now + pause)

    def _record(self, outcome: Outcome, delivery: LogoutDelivery, **details: Any) -> None:
        self.outcomes[outcome] += 1
        level, message = _LOG[outcome]
        names = {"client_id": delivery.client_id, "session_id": str(delivery.session_id)}
        logger.log(level, message, extra={"outcome": outcome.value, **names, **details})


def pause_after(attempts: int) -> timedelta:
    """Return the pause after a number of failed attempts: 5 s, 20 s, 80 s and so on, at most an hour."""
    pause: timedelta = FIRST_PAUSE * 4 ** min(attempts - 1, 10)
    return min(pause, LONGEST_PAUSE)


def retry_now(deliveries: QuerySet[LogoutDelivery]) -> int:
    """Make deliveries due now, and return their number. Those that a process is attempting may be sent twice."""
    return deliveries.order_by().update(next_attempt_at=timezone.now())


def _attempt(delivery: LogoutDelivery, uri: str) -> str | None:
    """Return None if the receiver confirmed the logout token, or else what failed."""
    token = logout_tokens.issue(delivery, at=timezone.now())
    try:
        status = receivers.post(uri, {"logout_token": token})
    except ReceiverFailed as error:
        return error.failure.value
    return None if status in range(200, 300) else f"status {status}"


def _settle_failure(delivery: LogoutDelivery, now: datetime) -> Outcome:
    if now - delivery.created_at >= GIVE_UP_AFTER:
        LogoutDelivery.objects.filter(pk=delivery.pk).delete()
        return Outcome.ABANDONED
    delivery.move(now + pause_after(delivery.attempts + 1), failures=1)
    return Outcome.FAILED


def _due_receivers(now: datetime) -> Iterator[str]:
    """Yield the client ids of the applications with deliveries that are due, each found by an indexed query.

    After a mass sign-out, a query for the distinct ones would read hundreds of thousands of rows.
    """
    ids = LogoutDelivery.objects.due(now).order_by("client_id").values_list("client_id", flat=True)
    client_id = ids.first()
    while client_id is not None:
        yield client_id
        client_id = ids.filter(client_id__gt=client_id).first()


def _current_uri(delivery: LogoutDelivery) -> str:
    """Return where the application is notified now, or if it was deleted, where it was when the session ended."""
    application = Application.objects.filter(client_id=delivery.client_id)
    current = application.values_list("backchannel_logout_uri", flat=True).first()
    return delivery.uri if current is None else current
