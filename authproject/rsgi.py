"""Run the WSGI application behind granian's asynchronous interface (RSGI).

A WSGI server gives each request a thread, and the thread waits for the body: with a few threads per process, a few
clients that send one byte and stop block everyone else. This adapter reads the whole body, or rejects the request
with 408, before it uses a thread. A response that takes too long becomes 503. Malformed requests are rejected
here, before any other code sees them.

Header names with an underscore are dropped: in CGI's notation, a client's `X_Forwarded_For` could otherwise not be
distinguished from a proxy's `X-Forwarded-For`.
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

from accounts.conf import auth_settings
from accounts.errors import Unavailable
from api import defaults
from authproject.middleware import api_headers, cross_origin_headers
from authproject.proxies import trust_proxies
from authproject.tcp_user_timeout import set_tcp_user_timeout
from authproject.wsgi import application as wsgi_application

THREADS = 2  # more threads only compete for the interpreter lock
BODY_TIMEOUT = 10  # seconds
RESPONSE_TIMEOUT = 15  # seconds; limits the wait for a database that accepts connections and never responds

_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_BROKEN_BODY = "The body is incomplete or malformed."
# Replaces granian's own header, which names the server.
_SERVER_NAME = ("server", "-")

# Load everything now and exclude it from garbage collection, which would otherwise scan it again and again.
get_resolver().url_patterns  # noqa: B018  loads the URL configuration
gc.collect()
gc.freeze()

_request_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="django")
# Hashing a password releases the interpreter lock but occupies its thread. Requests that hash run one at a time in
# a pool of their own, so that no other request waits for them.
_hashing_pool = ThreadPoolExecutor(1, thread_name_prefix="hashing")
# Requests that need no database do not wait for threads that do: a frozen database must not fail the liveness
# probe, which would restart the process, nor hide the public keys from other services.
_PATHS_WITHOUT_DATABASE = ("/healthz", "/.well-known/")
_probe_pool = ThreadPoolExecutor(1, thread_name_prefix="probes")

# granian reports the name of a header with bytes beyond ASCII, but not its value. Such a token counts as invalid.
_UNREADABLE_TOKENS = (
    ("authorization", "HTTP_AUTHORIZATION", "Bearer \xff"),
    ("x-access-token", "HTTP_X_ACCESS_TOKEN", "\xff"),
)


class WsgiResponse(NamedTuple):
    """A complete response of the WSGI application."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class RequestRejected(Exception):
    """A request that is rejected before it reaches the application. `response` is what the client gets."""

    def __init__(
        self, status: int, message: str, code: str = "invalid_request", retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        headers = [_SERVER_NAME, ("content-type", "application/json"), ("cache-control", "no-store")]
        if retry_after is not None:
            headers.append(("retry-after", str(retry_after)))
        self.response = WsgiResponse(status, headers, json.dumps({"message": message, "code": code}).encode())

    def secured(self, scope: Scope) -> WsgiResponse:
        """Return the response with the headers of every API response over the client's scheme to its origin."""
        environ = build_environ(scope, b"")
        headers = (*api_headers(is_secure=_is_secure(environ)), *cross_origin_headers(environ))
        lowercase_headers = [(name.lower(), value) for name, value in headers]
        return self.response._replace(headers=[*self.response.headers, *lowercase_headers])


async def application(scope: Scope, protocol: HTTPProtocol) -> None:
    """Handle one request."""
    if not _is_unix_socket(scope):
        set_tcp_user_timeout(scope.server.rpartition(":")[2])
    try:
        _reject_malformed(scope)
        response = await _respond_in_pool(build_environ(scope, await _read_body_in_time(scope, protocol)))
    except RequestRejected as rejection:
        response = rejection.secured(scope)
    except ProtocolClosed:
        return
    if response.body:
        protocol.response_bytes(response.status, response.headers, response.body)
    else:
        protocol.response_empty(response.status, response.headers)


def _start_background_threads(_: asyncio.AbstractEventLoop) -> None:
    from accounts.sso import logout_dispatch  # noqa: PLC0415  it imports models, which need Django to be set up

    logout_dispatch.start_polling()


# The server calls it in each of its processes, also in those that are forked after this module was imported.
application.__rsgi_init__ = _start_background_threads  # type: ignore[attr-defined]


async def _read_body_in_time(scope: Scope, protocol: HTTPProtocol) -> bytes:
    if scope.method not in _METHODS_WITH_BODY:
        return b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _read_body(scope, protocol)
    except TimeoutError:
        raise RequestRejected(408, "The body did not arrive in time.") from None


async def _respond_in_pool(environ: dict[str, Any]) -> WsgiResponse:
    pool = _pool_for(environ["REQUEST_METHOD"], environ["PATH_INFO"])
    try:
        async with asyncio.timeout(RESPONSE_TIMEOUT):
            return await asyncio.get_running_loop().run_in_executor(pool, _call_wsgi, environ)
    except TimeoutError:
        raise RequestRejected(503, Unavailable.message, Unavailable.code, Unavailable.retry_after) from None


def _pool_for(method: str, path: str) -> ThreadPoolExecutor:
    if path.startswith(_PATHS_WITHOUT_DATABASE):
        return _probe_pool
    # Opening a page with a form hashes nothing.
    hashes = method in _METHODS_WITH_BODY and path.startswith(_hashing_paths())
    return _hashing_pool if hashes else _request_pool


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

    trust_proxies(remember_scheme, auth_settings().trusted_proxies)(environ, _no_write)
    return schemes == ["https"]


def _is_unix_socket(scope: Scope) -> bool:
    return scope.server.startswith("/")  # its path


def _reject_malformed(scope: Scope) -> None:
    """Reject requests that proxies and servers could interpret differently.

    Raises RequestRejected (RFC 9110 section 9.1, RFC 9112 section 3.2).
    """
    if scope.http_version == "1.1" and scope.authority is None and "host" not in scope.headers:
        raise RequestRejected(400, "The Host header is missing.")
    if not scope.method.isupper():
        raise RequestRejected(400, "The method must be in capital letters.")


def build_environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """Return the WSGI environment of a request (PEP 3333)."""
    # A Unix socket has neither host nor port.
    server, _, port = ("localhost:80" if _is_unix_socket(scope) else scope.server).rpartition(":")
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
        environ["HTTP_HOST"] = scope.authority  # overrides Host (RFC 9112 section 3.2.2)
    return environ


def _cgi_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers in CGI's notation; repeated ones are joined (RFC 9110 section 5.3)."""
    cgi_headers: dict[str, str] = {}
    for name, value in headers:
        if "_" in name or name == "content-length":
            continue
        key = "CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}"
        separator = "; " if name == "cookie" else ","
        cgi_headers[key] = f"{cgi_headers[key]}{separator}{value}" if key in cgi_headers else value
    return cgi_headers


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
    try:
        body: bytes = await protocol()
    except ProtocolClosed:
        raise RequestRejected(400, _BROKEN_BODY) from None
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
        # Django finishes the request here and releases its database connection.
        parts.close()
    return started[0]._replace(body=body)


def _no_write(_: bytes) -> None:
    raise NotImplementedError("Django does not use WSGI's write()")
