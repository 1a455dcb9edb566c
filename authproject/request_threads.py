"""Threads that respond to requests, with a limit on the time that a response takes."""

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Any, NamedTuple

RESPONSE_TIMEOUT = 15  # seconds; limits the wait for a database that accepts connections and never responds

logger = logging.getLogger(__name__)


class WsgiResponse(NamedTuple):
    """A complete response of the WSGI application."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


SERVER_NAME = ("server", "-")
"""Replaces granian's own header, which names the server."""
FAILED = WsgiResponse(500, [SERVER_NAME], b"")


class Request:
    """A complete request that waits for its response. `reply` is called with it, in any thread."""

    __slots__ = ("body", "deadline", "reply", "scope")

    def __init__(self, scope: Any, body: bytes, reply: Callable[[WsgiResponse], object]) -> None:
        self.scope = scope
        self.body = body
        self.reply = reply
        self.deadline = monotonic() + RESPONSE_TIMEOUT


class RequestThreads:
    """Threads that respond to requests in the order of their arrival.

    A `ThreadPoolExecutor` does the same and makes a lock, a future and a work item for each request.
    """

    def __init__(self, name: str, number: int, respond: Callable[[Request], WsgiResponse]) -> None:
        self._name = name
        self._number = number
        self._respond = respond
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._waiting: set[Request] = set()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads."""
        for number in range(self._number):
            thread = threading.Thread(target=self._run, name=f"{self._name}_{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Wait until all submitted requests are responded to, and end the threads."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def submit(self, request: Request) -> None:
        """Respond to a request in a thread."""
        self._waiting.add(request)
        self._queue.put(request)

    def remove_overdue(self) -> list[Request]:
        """Return the requests whose response takes too long. Those that no thread has begun are never begun."""
        now = monotonic()
        overdue = [request for request in tuple(self._waiting) if request.deadline < now]
        self._waiting.difference_update(overdue)
        return overdue

    def _run(self) -> None:
        while (request := self._queue.get()) is not None:
            self._handle(request)

    def _handle(self, request: Request) -> None:
        if request not in self._waiting:
            return
        try:
            request.reply(self._respond(request))
        except BaseException:  # whatever a view raises, the thread continues with the next request
            logger.exception("The application raised an exception.")
            request.reply(FAILED)
        self._waiting.discard(request)
