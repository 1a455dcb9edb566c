"""Threads that deliver logout tokens in the background.

In every process, the commit that queues logout tokens starts their delivery. A server calls `start_polling` in
each of its processes as well, to deliver what failed, and what other processes queued or left behind.
"""

import atexit
import logging
import time
from collections.abc import Callable
from threading import Lock, Thread
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django.dispatch import receiver

from accounts.models import Application, LogoutDelivery
from accounts.models.logout_deliveries import deliveries_queued
from accounts.sso import receivers
from accounts.sso.logout_delivery import Deliverer

POLL_INTERVAL = 5
"""Seconds between two queries for deliveries that are due."""

IDLE_INTERVAL = 60
"""Seconds between two queries that decide whether to poll: only if an application has a receiver."""

_EXIT_TIMEOUT = receivers.DEADLINE + 1  # seconds

logger = logging.getLogger("accounts.logout_delivery")


class _Background:
    """The thread of this process that delivers, if it has one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._deliverer = Deliverer()
        self._thread: Thread | None = None
        self._ending_thread: Thread | None = None

    def wake(self) -> None:
        """Deliver now: in the thread that does already, or in one that ends when nothing is due."""
        with self._lock:
            # After a fork, the thread is that of another process.
            if self._thread is not None and self._thread.is_alive():
                self._deliverer.wake()
            else:
                self._ending_thread = self._start(self._deliver_until_done)

    def start_polling(self) -> None:
        """Deliver from now on whenever something is due."""
        with self._lock:
            self._start(poll)

    def finish(self) -> None:
        """Let a thread that is to end when nothing is due finish: deliveries that it leased would be delayed."""
        if self._ending_thread is not None:
            self._ending_thread.join(_EXIT_TIMEOUT)

    def _start(self, work: Callable[[Deliverer], None]) -> Thread:
        self._deliverer = Deliverer()
        self._deliverer.wake()
        # A daemon, so that no receiver keeps a process from stopping.
        self._thread = Thread(target=work, args=[self._deliverer], name="logout-delivery", daemon=True)
        self._thread.start()
        return self._thread

    def _deliver_until_done(self, deliverer: Deliverer) -> None:
        try:
            while not self._end_unless_awake(deliverer):
                deliverer.wait(0)
                deliverer.deliver_all()
        except Exception as error:  # noqa: BLE001  the next commit, or another process, tries again
            _log_failure(error)
        finally:
            connections.close_all()

    def _end_unless_awake(self, deliverer: Deliverer) -> bool:
        with self._lock:
            if deliverer.is_awake:
                return False
            self._thread = None
            return True


_background = _Background()
atexit.register(_background.finish)


@receiver(deliveries_queued)
def deliver_soon(**_: Any) -> None:
    """Deliver what is due in the background. Does not wait for it, and does not fail."""
    _background.wake()


def start_polling() -> None:
    """Deliver in the background of this process from now on whenever something is due."""
    _background.start_polling()


def poll(deliverer: Deliverer) -> None:
    """Deliver whenever something is due. Does not return.

    This costs one indexed query every POLL_INTERVAL, or one every IDLE_INTERVAL if no application has a receiver.
    """
    is_used, check_again_at, woken = False, float("-inf"), False
    while True:
        try:
            close_old_connections()
            if time.monotonic() >= check_again_at:
                is_used, check_again_at = _is_used(), time.monotonic() + IDLE_INTERVAL
            if is_used or woken:
                deliverer.start()
            else:
                connections.close_all()
            woken = deliverer.wait(POLL_INTERVAL if is_used or woken else IDLE_INTERVAL)
        except Exception as error:  # noqa: BLE001  otherwise, nothing would be delivered any more
            _log_failure(error)
            connections.close_all()
            time.sleep(POLL_INTERVAL)


def _is_used() -> bool:
    has_receiver = Application.objects.exclude(backchannel_logout_uri="").exists()
    return has_receiver or LogoutDelivery.objects.exists()


def _log_failure(error: Exception) -> None:
    level = logging.WARNING if isinstance(error, (DatabaseError, InterfaceError)) else logging.ERROR
    logger.log(level, "Logout tokens are delivered later.", extra={"error": type(error).__name__})
