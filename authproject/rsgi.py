"""Run the WSGI application behind granian's asynchronous interface (RSGI).

A WSGI server gives each request a thread, and the thread waits for the body: with a few threads per process, a few
clients that send one byte and stop block everyone else. This adapter reads the whole body, or rejects the request
with 408, before it uses a thread. A response that takes too long becomes 503. Malformed requests are rejected
here, before any other code sees them.
"""

import asyncio
import gc
import signal
from collections.abc import Coroutine
from functools import cache, partial
from importlib import import_module
from typing import Any

from django.conf import settings
from django.urls import get_resolver
from granian.rsgi import HTTPProtocol, Scope  # type: ignore[attr-defined]  # re-exported silently

from accounts.errors import Unavailable
from api import defaults
from authproject.direct_requests import receive_directly
from authproject.rejections import RequestRejected
from authproject.request_bodies import DirectBodies, has_known_length, read_body
from authproject.request_threads import Reply, Request, RequestThreads, WsgiResponse
from authproject.tcp_user_timeout import set_tcp_user_timeout
from authproject.wsgi_calls import call_wsgi, is_unix_socket

THREADS = 2  # more threads only compete for the interpreter lock
OVERDUE_INTERVAL = 1  # seconds between looks for requests that wait too long

_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
_reading: set[asyncio.Task[None]] = set()

# Load everything now and exclude it from garbage collection, which would otherwise scan it again and again.
get_resolver().url_patterns  # noqa: B018  loads the URL configuration
gc.collect()
gc.freeze()


class Application:
    """The RSGI application."""

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Prepare a worker before its first request."""
        _postpone_signals(loop)
        for threads in _all_threads:
            threads.start()
        _reply_to_overdue_requests(loop)
        receive_directly(partial(_receive_directly, loop))
        # Imported here, because models can be imported only after Django is set up.
        import_module("accounts.sso.logout_dispatch").start_polling()

    def __rsgi_del__(self, _: asyncio.AbstractEventLoop) -> None:
        """Finish what the threads of a worker have begun, even if its client is gone."""
        for threads in _all_threads:
            threads.stop()

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Handle one request, if this version of granian does not call `_receive_directly`."""
        loop = asyncio.get_running_loop()
        response: asyncio.Future[WsgiResponse] = loop.create_future()
        _receive(loop, scope, protocol, lambda it: loop.call_soon_threadsafe(_set_response, response, it))
        _send(protocol, await response)


def _postpone_signals(loop: asyncio.AbstractEventLoop) -> None:
    """Block signals until the event loop runs: it loses those that arrive earlier, and a worker would not stop."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    loop.call_soon(signal.pthread_sigmask, signal.SIG_UNBLOCK, _STOP_SIGNALS)


def _receive_directly(loop: asyncio.AbstractEventLoop, scope: Scope, protocol: HTTPProtocol) -> None:
    """Handle one request in granian's thread."""
    _receive(loop, scope, protocol, partial(_send, protocol))


def _receive(loop: asyncio.AbstractEventLoop, scope: Scope, protocol: HTTPProtocol, reply: Reply) -> None:
    """Handle one request without waiting for its body or its response."""
    try:
        _reject_malformed(scope)
        if scope.method not in _METHODS_WITH_BODY:
            _submit(scope, b"", reply)
        elif has_known_length(scope):
            _bodies.expect(scope, protocol, reply)
        else:
            loop.call_soon_threadsafe(_start, _read_and_submit(scope, protocol, reply))
    except RequestRejected as rejection:
        reply(rejection.secured(scope))


def _start(reading: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(reading)
    _reading.add(task)  # the event loop itself refers to its tasks weakly
    task.add_done_callback(_reading.discard)


async def _read_and_submit(scope: Scope, protocol: HTTPProtocol, reply: Reply) -> None:
    try:
        _submit(scope, await read_body(scope, protocol), reply)
    except RequestRejected as rejection:
        reply(rejection.secured(scope))


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
    """Respond to requests whose body or response takes too long, with 408 or 503, now and in intervals."""
    loop.call_later(OVERDUE_INTERVAL, _reply_to_overdue_requests, loop)  # first: a fault below must not end them
    _bodies.reject_overdue()
    for threads in _all_threads:
        for request in threads.remove_overdue():
            request.reply(_UNAVAILABLE.secured(request.scope))


@cache
def _hashing_paths() -> tuple[str, ...]:
    # A project that embeds the service and runs this server may lack the setting.
    paths: tuple[str, ...] = getattr(settings, "PATHS_THAT_HASH", defaults.PATHS_THAT_HASH)
    return paths


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
_bodies = DirectBodies(_submit)
_all_threads = (_request_threads, _hashing_threads, _probe_threads)

_UNAVAILABLE = RequestRejected(503, Unavailable.message, Unavailable.code, Unavailable.retry_after)

application = Application()
