"""Run the WSGI application behind granian's asynchronous interface (RSGI).

A WSGI server gives each request a thread, and the thread waits for the body: with a few threads per process, a few
clients that send one byte and stop block everyone else. This adapter reads the whole body, or rejects the request
with 408, before it uses a thread. A response that takes too long becomes 503. Malformed requests are rejected
here, before any other code sees them.
"""

import asyncio
import gc
import json
import signal
from collections.abc import Coroutine
from functools import cache, partial
from importlib import import_module
from typing import Any

from django.conf import settings
from django.urls import get_resolver
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope  # type: ignore[attr-defined]  # re-exported silently

from accounts.conf import auth_settings
from accounts.errors import Unavailable
from api import defaults
from authproject.direct_requests import receive_directly
from authproject.middleware import api_headers, cross_origin_headers
from authproject.proxies import trust_proxies
from authproject.request_threads import SERVER_NAME, Reply, Request, RequestThreads, WsgiResponse
from authproject.tcp_user_timeout import set_tcp_user_timeout
from authproject.wsgi_calls import build_environ, call_wsgi, is_unix_socket, no_write

THREADS = 2  # more threads only compete for the interpreter lock
BODY_TIMEOUT = 10  # seconds
OVERDUE_INTERVAL = 1  # seconds between looks for requests that wait too long

_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
_BROKEN_BODY = "The body is incomplete or malformed."
_reading: set[asyncio.Task[None]] = set()

# Load everything now and exclude it from garbage collection, which would otherwise scan it again and again.
get_resolver().url_patterns  # noqa: B018  loads the URL configuration
gc.collect()
gc.freeze()


class RequestRejected(Exception):
    """A request that is rejected before it reaches the application. `response` is what the client gets."""

    def __init__(
        self, status: int, message: str, code: str = "invalid_request", retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        headers = [SERVER_NAME, ("content-type", "application/json"), ("cache-control", "no-store")]
        if retry_after is not None:
            headers.append(("retry-after", str(retry_after)))
        self.response = WsgiResponse(status, headers, json.dumps({"message": message, "code": code}).encode())

    def secured(self, scope: Scope) -> WsgiResponse:
        """Return the response with the headers of every API response over the client's scheme to its origin."""
        environ = build_environ(scope, b"")
        headers = (*api_headers(is_secure=_is_secure(environ)), *cross_origin_headers(environ))
        lowercase_headers = [(name.lower(), value) for name, value in headers]
        return self.response._replace(headers=[*self.response.headers, *lowercase_headers])


class Application:
    """The RSGI application."""

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Prepare a worker before its first request."""
        _postpone_signals(loop)
        for threads in _all_threads:
            threads.start()
        _reply_to_overdue_requests(loop)
        receive_directly(partial(_receive, loop))
        # Imported here, because models can be imported only after Django is set up.
        import_module("accounts.sso.logout_dispatch").start_polling()

    def __rsgi_del__(self, _: asyncio.AbstractEventLoop) -> None:
        """Finish what the threads of a worker have begun, even if its client is gone."""
        for threads in _all_threads:
            threads.stop()

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Handle one request, if this version of granian does not call `_receive`."""
        loop = asyncio.get_running_loop()
        response: asyncio.Future[WsgiResponse] = loop.create_future()
        await _read_and_submit(scope, protocol, lambda it: loop.call_soon_threadsafe(_set_response, response, it))
        _send(protocol, await response)


def _postpone_signals(loop: asyncio.AbstractEventLoop) -> None:
    """Block signals until the event loop runs: it loses those that arrive earlier, and a worker would not stop."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    loop.call_soon(signal.pthread_sigmask, signal.SIG_UNBLOCK, _STOP_SIGNALS)


def _receive(loop: asyncio.AbstractEventLoop, scope: Scope, protocol: HTTPProtocol) -> None:
    """Handle one request in granian's thread, without waiting for its body or its response."""
    reply = partial(_send, protocol)
    if scope.method in _METHODS_WITH_BODY:
        loop.call_soon_threadsafe(_start, _read_and_submit(scope, protocol, reply))
        return
    try:
        _reject_malformed(scope)
        _submit(scope, b"", reply)
    except RequestRejected as rejection:
        reply(rejection.secured(scope))


def _start(reading: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(reading)
    _reading.add(task)  # the event loop itself refers to its tasks weakly
    task.add_done_callback(_reading.discard)


async def _read_and_submit(scope: Scope, protocol: HTTPProtocol, reply: Reply) -> None:
    try:
        _reject_malformed(scope)
        _submit(scope, await _read_body_in_time(scope, protocol), reply)
    except RequestRejected as rejection:
        reply(rejection.secured(scope))


async def _read_body_in_time(scope: Scope, protocol: HTTPProtocol) -> bytes:
    if scope.method not in _METHODS_WITH_BODY:
        return b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _read_body(scope, protocol)
    except TimeoutError:
        raise RequestRejected(408, "The body did not arrive in time.") from None
    except ProtocolClosed:
        raise RequestRejected(400, _BROKEN_BODY) from None


def _submit(scope: Scope, body: bytes, reply: Reply) -> None:
    _threads_for(scope.method, scope.path).submit(Request(scope, body, reply))


def _threads_for(method: str, path: str) -> RequestThreads:
    if path.startswith(_PATHS_WITHOUT_DATABASE):
        return _probe_threads
    # Opening a page with a form hashes nothing.
    hashes = method in _METHODS_WITH_BODY and path.startswith(_hashing_paths())
    return _hashing_threads if hashes else _request_threads


def _set_response(future: asyncio.Future[WsgiResponse], response: WsgiResponse) -> None:
    if not future.done():
        future.set_result(response)


def _reply_to_overdue_requests(loop: asyncio.AbstractEventLoop) -> None:
    """Respond with 503 to requests that wait too long, now and in intervals."""
    for threads in _all_threads:
        for request in threads.remove_overdue():
            request.reply(_UNAVAILABLE.secured(request.scope))
    loop.call_later(OVERDUE_INTERVAL, _reply_to_overdue_requests, loop)


@cache
def _hashing_paths() -> tuple[str, ...]:
    # A project that embeds the service and runs this server may lack the setting.
    paths: tuple[str, ...] = getattr(settings, "PATHS_THAT_HASH", defaults.PATHS_THAT_HASH)
    return paths


def _is_secure(environ: dict[str, Any]) -> bool:
    """Return whether the client uses https, which a trusted proxy may say."""
    schemes: list[str] = []

    def remember_scheme(environ: dict[str, Any], _: Any) -> list[bytes]:
        schemes.append(environ["wsgi.url_scheme"])
        return []

    trust_proxies(remember_scheme, auth_settings().trusted_proxies)(environ, no_write)
    return schemes == ["https"]


def _reject_malformed(scope: Scope) -> None:
    """Reject requests that proxies and servers could interpret differently.

    Raises RequestRejected (RFC 9110 section 9.1, RFC 9112 section 3.2).
    """
    if not is_unix_socket(scope):
        set_tcp_user_timeout(scope.server.rpartition(":")[2])
    if scope.http_version == "1.1" and scope.authority is None and "host" not in scope.headers:
        raise RequestRejected(400, "The Host header is missing.")
    if not scope.method.isupper():
        raise RequestRejected(400, "The method must be in capital letters.")


async def _read_body(scope: Scope, protocol: HTTPProtocol) -> bytes:
    """Read the whole body, because half a form is not a form.

    Raises RequestRejected if the body is incomplete or malformed, and as soon as it is known to be too long.
    """
    # The server accepts numbers below 2^64 with any number of leading zeros; Python's int() limits the digits.
    announced = int(scope.headers.get("content-length", "").lstrip("0") or 0)
    max_length = _max_length(scope)
    _reject_too_long(announced, max_length)
    # With chunked encoding, Content-Length is meaningless (RFC 9112 section 6.1).
    if announced and "transfer-encoding" not in scope.headers:
        return await _read_at_once(protocol)
    return await _read_chunks(protocol, max_length)


async def _read_at_once(protocol: HTTPProtocol) -> bytes:
    # Reading in parts would wake the event loop for each part, which takes longer than reading them.
    body: bytes = await protocol()
    return body


async def _read_chunks(protocol: HTTPProtocol, max_length: int) -> bytes:
    body = bytearray()
    ends = 0
    async for chunk in protocol:
        body += chunk
        _reject_too_long(len(body), max_length)
        # The last chunk is empty, and so is one that could not be read: a broken body has two empty chunks.
        ends += not chunk
    if ends > 1:
        raise RequestRejected(400, _BROKEN_BODY)
    return bytes(body)


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


def _send(protocol: HTTPProtocol, response: WsgiResponse) -> None:
    if response.body:
        protocol.response_bytes(response.status, response.headers, response.body)
    else:
        protocol.response_empty(response.status, response.headers)


_request_threads = RequestThreads("django", THREADS, call_wsgi)
# Hashing a password releases the interpreter lock but occupies its thread. Requests that hash run one at a time in
# a thread of their own, so that no other request waits for them.
_hashing_threads = RequestThreads("hashing", 1, call_wsgi)
# Requests that need no database do not wait for threads that do: a frozen database must not fail the liveness
# probe, which would restart the process, nor hide the public keys from other services.
_PATHS_WITHOUT_DATABASE = ("/healthz", "/.well-known/")
_probe_threads = RequestThreads("probes", 1, call_wsgi)
_all_threads = (_request_threads, _hashing_threads, _probe_threads)

_UNAVAILABLE = RequestRejected(503, Unavailable.message, Unavailable.code, Unavailable.retry_after)

application = Application()
