"""Serves the WSGI application behind granian's asynchronous interface (RSGI).

A WSGI server gives a request a thread and lets it wait there for the body: with a few threads a process, a few
clients that send a byte and nothing more hold up everybody. Here a body is read to its end, or refused for being
late, before a thread is taken; and an answer that does not come is given up with 503. What is no proper request is
refused here, before anything looks at it.

Headers come as they were sent, so that one whose name holds an underscore, which CGI spells like the one with a
hyphen, stands for no other (a client's X_Forwarded_For for a proxy's).
"""

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import BytesIO
from typing import Any, NamedTuple

from django.conf import settings
from django.urls import get_resolver
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope  # type: ignore[attr-defined]  # re-exported silently

from accounts.errors import Unavailable
from api import defaults
from authproject.tcp_user_timeout import set_tcp_user_timeout
from authproject.wsgi import application as wsgi_application

THREADS = 2  # more only get in each other's way
BODY_TIMEOUT = 10  # seconds
RESPONSE_TIMEOUT = 15  # seconds; a database that accepts connections and never answers leaves a thread waiting

_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_BROKEN_BODY = "The body is cut short or garbled."
# Without it granian names itself.
_SERVER_NAME = ("server", "-")
_SERVER_HEADERS = [
    _SERVER_NAME,
    ("content-type", "application/json"),
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
]

# What a process is made of is loaded now and stays: the collector need not look through it again and again.
get_resolver().url_patterns  # noqa: B018  loads them
gc.collect()
gc.freeze()

_request_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="django")
# A password hash leaves the interpreter to other threads, but not its own thread: of what hashes one, one is
# answered at a time, and nothing else waits for it.
_hashing_pool = ThreadPoolExecutor(1, thread_name_prefix="hashing")
# What asks no database waits for none: a liveness probe has no process killed for a database that does not answer,
# and other services get the keys.
_PATHS_WITHOUT_DATABASE = ("/healthz", "/.well-known/")
_probe_pool = ThreadPoolExecutor(1, thread_name_prefix="probes")

# A header beyond ASCII is named by the server, its value kept back. A token that nobody can read is a wrong one.
_UNREADABLE_TOKENS = (
    ("authorization", "HTTP_AUTHORIZATION", "Bearer \xff"),
    ("x-access-token", "HTTP_X_ACCESS_TOKEN", "\xff"),
)


class WsgiResponse(NamedTuple):
    """What the application answers."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class RequestRejected(Exception):
    """What is answered in place of the application."""

    def __init__(
        self, status: int, message: str, code: str = "invalid_request", retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        headers = _SERVER_HEADERS if retry_after is None else [*_SERVER_HEADERS, ("retry-after", str(retry_after))]
        self.response = WsgiResponse(status, headers, json.dumps({"message": message, "code": code}).encode())


async def application(scope: Scope, protocol: HTTPProtocol) -> None:
    """Answer one request."""
    set_tcp_user_timeout(scope.server.rpartition(":")[2])
    try:
        _reject_malformed(scope)
        response = await _respond_in_pool(build_environ(scope, await _read_body_in_time(scope, protocol)))
    except RequestRejected as rejection:
        response = rejection.response
    except ProtocolClosed:
        return
    if response.body:
        protocol.response_bytes(response.status, response.headers, response.body)
    else:
        protocol.response_empty(response.status, response.headers)


async def _read_body_in_time(scope: Scope, protocol: HTTPProtocol) -> bytes:
    if scope.method not in _METHODS_WITH_BODY:
        return b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _read_body(scope, protocol)
    except TimeoutError:
        raise RequestRejected(408, "The body did not arrive in time.") from None


async def _respond_in_pool(environ: dict[str, Any]) -> WsgiResponse:
    pool = _pool_for(environ["PATH_INFO"])
    try:
        async with asyncio.timeout(RESPONSE_TIMEOUT):
            return await asyncio.get_running_loop().run_in_executor(pool, _call_wsgi, environ)
    except TimeoutError:
        raise RequestRejected(503, Unavailable.message, Unavailable.code, Unavailable.retry_after) from None


def _pool_for(path: str) -> ThreadPoolExecutor:
    if path.startswith(_PATHS_WITHOUT_DATABASE):
        return _probe_pool
    return _hashing_pool if path.startswith(_hashing_paths()) else _request_pool


@cache
def _hashing_paths() -> tuple[str, ...]:
    # A project of its own that runs this server need not have the setting.
    paths: tuple[str, ...] = getattr(settings, "PATHS_THAT_HASH", defaults.PATHS_THAT_HASH)
    return paths


def _reject_malformed(scope: Scope) -> None:
    """Refuse what proxies and servers could understand differently (RFC 9110 section 9.1, RFC 9112 section 3.2).

    Raises Refused.
    """
    if scope.http_version == "1.1" and scope.authority is None and "host" not in scope.headers:
        raise RequestRejected(400, "The header Host is missing.")
    if not scope.method.isupper():
        raise RequestRejected(400, "The method is not written in capitals.")


def build_environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """Spell a request as WSGI does (PEP 3333)."""
    server, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    environ |= _cgi_headers(scope.headers.items())
    for name, key, unreadable in _UNREADABLE_TOKENS:
        if name in scope.headers:
            environ.setdefault(key, unreadable)
    if scope.authority is not None:
        environ["HTTP_HOST"] = scope.authority  # RFC 9112 section 3.2.2: it counts, and Host does not
    return environ


def _cgi_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Spell headers as CGI does; those that come twice are joined (RFC 9110 section 5.3)."""
    cgi_headers: dict[str, str] = {}
    for name, value in headers:
        if "_" in name or name == "content-length":
            continue
        key = "CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}"
        separator = "; " if name == "cookie" else ","
        cgi_headers[key] = f"{cgi_headers[key]}{separator}{value}" if key in cgi_headers else value
    return cgi_headers


async def _read_body(scope: Scope, protocol: HTTPProtocol) -> bytes:
    """Read a body to its end: half a form is no form.

    Raises Refused for one that is cut short or garbled, and for one that is too long, as soon as that is known.
    """
    # Digits of a number below 2^64, as far as the server looks; zeros before it may be more than Python reads.
    announced = int(scope.headers.get("content-length", "").lstrip("0") or 0)
    _reject_too_long(announced)
    # Chunks have a length of their own, whatever is announced.
    if announced and "transfer-encoding" not in scope.headers:
        return await _read_at_once(protocol)
    return await _read_chunks(protocol)


async def _read_at_once(protocol: HTTPProtocol) -> bytes:
    # In parts it would wake the loop for each one and for the end, which takes longer than to read them.
    try:
        body: bytes = await protocol()
    except ProtocolClosed:
        raise RequestRejected(400, _BROKEN_BODY) from None
    return body


async def _read_chunks(protocol: HTTPProtocol) -> bytes:
    body = bytearray()
    ends = 0
    async for chunk in protocol:
        body += chunk
        _reject_too_long(len(body))
        # The last one is empty. So is one that could not be read: a broken body has two.
        ends += not chunk
    if ends > 1:
        raise RequestRejected(400, _BROKEN_BODY)
    return bytes(body)


def _reject_too_long(length: int) -> None:
    max_length: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if length > max_length:
        raise RequestRejected(413, f"The body is too large. Allowed: {max_length} bytes.", "payload_too_large")


def _call_wsgi(environ: dict[str, Any]) -> WsgiResponse:
    started: list[WsgiResponse] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], None]:
        lowercase_headers = [_SERVER_NAME, *((name.lower(), value) for name, value in headers)]
        started[:] = [WsgiResponse(int(status.partition(" ")[0]), lowercase_headers, b"")]
        return _no_write

    parts = wsgi_application(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        # Django ends the request here: it gives its database connection back.
        parts.close()
    return started[0]._replace(body=body)


def _no_write(_: bytes) -> None:
    raise NotImplementedError("Django does not use WSGI's write()")
