"""Read the bodies of requests, within limits of length and time.

A body whose length is known is read by granian, without the event loop (`DirectBodies`). Others, which arrive in
chunks, are read in the event loop (`read_body`).
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

from django.conf import settings
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope  # type: ignore[attr-defined]  # re-exported silently

from api import defaults
from authproject.direct_requests import DirectCallback
from authproject.rejections import RequestRejected
from authproject.request_threads import FAILED, Reply

BODY_TIMEOUT = 10  # seconds

_BROKEN = (400, "The body is incomplete or malformed.")
_LATE = (408, "The body did not arrive in time.")

logger = logging.getLogger(__name__)

Submit = Callable[[Scope, bytes, Reply], None]
"""Called with a request and its whole body."""


class DirectBodies:
    """The bodies of known length that have not arrived yet. `submit` is called when one has."""

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        # A body must not refer to its future, which refers to it: cycles with granian's objects are not collected.
        self._futures: dict[_DirectBody, Any] = {}

    def expect(self, scope: Scope, protocol: HTTPProtocol, reply: Reply) -> None:
        """Read the body of a request for which `has_known_length` is true, without waiting for it.

        Raises RequestRejected if it is too long.
        """
        length = _announced_length(scope)
        _reject_too_long(length, _max_length(scope))
        if not length:
            self._submit(scope, b"", reply)
            return
        body = _DirectBody(scope, reply, self._receive)
        future: Any = protocol()
        self._futures[body] = future
        future.add_done_callback(body)

    def reject_overdue(self) -> None:
        """Respond with 408 to the requests whose bodies take too long."""
        now = monotonic()
        for body in tuple(self._futures):
            if body.deadline < now and (future := self._claim(body)) is not None:
                future.cancel()
                body.reply(RequestRejected(*_LATE).secured(body.scope))

    def _receive(self, body: "_DirectBody") -> None:
        future = self._claim(body)
        if future is None:
            return
        try:
            content = future.result()
        except Exception as error:  # noqa: BLE001  whatever granian raises, the body cannot be read
            # The future keeps the exception, whose traceback refers to frames that refer to the future.
            error.__traceback__ = None
            body.reply(RequestRejected(*_BROKEN).secured(body.scope))
        else:
            self._submit_body(body, content)

    def _submit_body(self, body: "_DirectBody", content: bytes) -> None:
        try:
            self._submit(body.scope, content, body.reply)
        except Exception:  # granian would ignore it, and never respond
            logger.exception("The body of a request was lost.")
            body.reply(FAILED)

    def _claim(self, body: "_DirectBody") -> Any:
        """Return the future of a body, but only once: the body arrives, or is late, but not both."""
        return self._futures.pop(body, None)


class _DirectBody(DirectCallback):
    """The callback that is called when one body has arrived, or cannot be read."""

    __slots__ = ("_receive", "deadline", "reply", "scope")

    def __init__(self, scope: Scope, reply: Reply, receive: Callable[["_DirectBody"], None]) -> None:
        self.scope = scope
        self.reply = reply
        self.deadline = monotonic() + BODY_TIMEOUT
        self._receive = receive

    def __call__(self, future: Any) -> None:
        """Continue with the request."""
        self._receive(self)


def has_known_length(scope: Scope) -> bool:
    """Return whether the client announces the length of the body.

    With chunked encoding, Content-Length is meaningless (RFC 9112 section 6.1).
    """
    return "content-length" in scope.headers and "transfer-encoding" not in scope.headers


async def read_body(scope: Scope, protocol: HTTPProtocol) -> bytes:
    """Read the whole body of a request for which `has_known_length` is false. Half a form is not a form.

    Raises RequestRejected if the body is incomplete or malformed or does not arrive in time, and as soon as it is
    known to be too long.
    """
    max_length = _max_length(scope)
    _reject_too_long(_announced_length(scope), max_length)
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _read_chunks(protocol, max_length)
    except TimeoutError:
        raise RequestRejected(*_LATE) from None
    except ProtocolClosed:
        raise RequestRejected(*_BROKEN) from None


async def _read_chunks(protocol: HTTPProtocol, max_length: int) -> bytes:
    body = bytearray()
    ends = 0
    async for chunk in protocol:
        body += chunk
        _reject_too_long(len(body), max_length)
        # The last chunk is empty, and so is one that could not be read: a broken body has two empty chunks.
        ends += not chunk
    if ends > 1:
        raise RequestRejected(*_BROKEN)
    return bytes(body)


def _announced_length(scope: Scope) -> int:
    # The server accepts numbers below 2^64 with any number of leading zeros; Python's int() limits the digits.
    return int(scope.headers.get("content-length", "").lstrip("0") or 0)


def _max_length(scope: Scope) -> int:
    """Return the length of the longest body, in bytes, that an endpoint takes."""
    longest: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    large: tuple[str, ...] | None = getattr(settings, "PATHS_WITH_LARGE_BODIES", None)
    if large is None:
        return longest  # a project that embeds the service and runs this server may take long bodies at any path
    # Whether the session exists is known only after the body is read. Without a cookie, it cannot exist.
    has_session = f"{settings.SESSION_COOKIE_NAME}=" in scope.headers.get("cookie", "")
    return longest if has_session and scope.path.startswith(large) else min(longest, defaults.MAX_BODY_SIZE)


def _reject_too_long(length: int, max_length: int) -> None:
    if length > max_length:
        raise RequestRejected(413, f"The body is too large. Allowed: {max_length} bytes.", "payload_too_large")
