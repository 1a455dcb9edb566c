"""Background jobs: emails, and work whose duration must not show in response times.

A queue has a few threads of this process and a bounded capacity. A process that is stopped finishes its queues; a
process that is killed loses them. Queue nothing that must not be lost, and no secrets.
"""

import logging
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from secrets import SystemRandom
from threading import BoundedSemaphore
from typing import ParamSpec

from django.db import InterfaceError, OperationalError, close_old_connections, connections, transaction
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from accounts.databases import alias_of
from accounts.errors import Unavailable
from accounts.models import User

STOP_RETRYING = stop_after_attempt(4)
PAUSE = wait_exponential(min=2, max=30)  # seconds: 2, 2, 4

P = ParamSpec("P")

logger = logging.getLogger("accounts.background")


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.warning("A job met an outage; retrying.", extra={"error": type(error).__name__})
    connections.close_all()  # the next attempt opens new ones


class BackgroundQueue:
    """A queue of at most `capacity` jobs, with the threads that run them.

    Each job starts at a random time within the next `delay` seconds, so that its effect on other requests does not
    reveal which request queued it. A job that cannot use the database or the counters of attempts is run again, so
    it must not have done anything yet that must not be repeated.
    """

    def __init__(self, name: str, *, threads: int, capacity: int, delay: float) -> None:
        self._name = name
        self._threads = threads
        self._delay = delay
        self._free_places = BoundedSemaphore(capacity)
        self._retrying = Retrying(
            retry=retry_if_exception_type((OperationalError, InterfaceError, Unavailable)),
            stop=STOP_RETRYING,
            wait=PAUSE,
            before_sleep=_log_retry,
            reraise=True,
        )

    def after_commit(self, job: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Queue a job when the caller's transaction, if any, is committed."""
        transaction.on_commit(partial(self._enqueue, partial(job, *args, **kwargs)), using=alias_of(User))

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        """The threads, started with the first job, because threads do not survive a fork."""
        return ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)

    def _enqueue(self, job: Callable[[], object]) -> None:
        if not self._free_places.acquire(blocking=False):
            logger.error("The queue is full; a job was dropped.", extra={"lane": self._name})
            return
        starts_at = time.monotonic() + SystemRandom().uniform(0, self._delay)
        self._pool.submit(self._run, job, starts_at)

    def _run(self, job: Callable[[], object], starts_at: float) -> None:
        try:
            time.sleep(max(0, starts_at - time.monotonic()))
            close_old_connections()
            self._retrying(job)
        except Exception as error:  # noqa: BLE001  no caller waits for the job
            # Without the error's message, which may contain addresses.
            where = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
            fields = {"lane": self._name, "error": type(error).__name__, "where": where}
            logger.error("A job failed.", extra=fields)  # noqa: TRY400
        finally:
            connections.close_all()
            self._free_places.release()


MAIL = BackgroundQueue("mail", threads=4, capacity=1000, delay=1)
HISTORY = BackgroundQueue("history", threads=1, capacity=1000, delay=0)
