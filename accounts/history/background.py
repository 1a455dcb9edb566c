"""Work that no answer waits for: mail, and what a stranger must not measure.

A lane is a few threads of this process and a bounded queue. When the process is stopped it finishes what is
queued; when it is killed that is lost. So nothing goes here that must not be lost, and no queue holds a secret.
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

from django.db import close_old_connections, connection, transaction

P = ParamSpec("P")

logger = logging.getLogger("accounts.background")


class BackgroundQueue:
    """A queue of jobs, and the threads that work it off; `capacity` is how many jobs may wait.

    A job begins at a random moment of the next `delay` seconds: what the work takes from the requests that are
    answered meanwhile tells nobody which one it came from.
    """

    def __init__(self, name: str, *, threads: int, capacity: int, delay: float) -> None:
        self._name = name
        self._threads = threads
        self._delay = delay
        self._free_places = BoundedSemaphore(capacity)

    def after_commit(self, job: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run a job later: once the transaction that the caller is in, if any, is committed."""
        transaction.on_commit(partial(self._enqueue, partial(job, *args, **kwargs)))

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        """Started with the first job: threads do not survive a fork."""
        return ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)

    def _enqueue(self, job: Callable[[], object]) -> None:
        if not self._free_places.acquire(blocking=False):
            logger.error("The queue is full: a job is dropped.", extra={"lane": self._name})
            return
        starts_at = time.monotonic() + SystemRandom().uniform(0, self._delay)
        self._pool.submit(self._run, job, starts_at)

    def _run(self, job: Callable[[], object], starts_at: float) -> None:
        try:
            time.sleep(max(0, starts_at - time.monotonic()))
            close_old_connections()
            job()
        except Exception as error:  # noqa: BLE001  nobody waits for the job who could be told
            # Without the error's own words, which may hold addresses.
            where = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
            fields = {"lane": self._name, "error": type(error).__name__, "where": where}
            logger.error("A job failed.", extra=fields)  # noqa: TRY400
        finally:
            connection.close()
            self._free_places.release()


MAIL = BackgroundQueue("mail", threads=4, capacity=1000, delay=1)
HISTORY = BackgroundQueue("history", threads=1, capacity=1000, delay=0)
