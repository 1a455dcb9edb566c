"""Serves the WSGI application behind granian's asynchronous interface (RSGI).

A WSGI server gives a request a thread and lets it wait there for the body: with a few threads a process, a few
clients that send a byte and nothing more hold up everybody. Here a body is read to its end, or refused for being
late, before a thread is taken; and an answer that does not come is given up with 503.

Headers come as they were sent, so that one whose name holds an underscore, which CGI spells like the one with a
hyphen, stands for no other (a client's X_Forwarded_For for a proxy's).
"""

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, NamedTuple

from django.conf import settings
from django.urls import get_resolver
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope  # type: ignore[attr-defined]  # re-exported silently

from accounts.errors import Unavailable
from authproject.wsgi import application as wsgi_application

# A password hash leaves the interpreter to other threads; more than two only get in each other's way.
THREADS = 2
BODY_TIMEOUT = 10  # seconds
ANSWER_TIMEOUT = 15  # seconds; a database that accepts connections and never answers leaves a thread waiting

_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_JSON = [("content-type", "application/json")]
_TOO_LATE = json.dumps({"message": "The body did not arrive in time.", "code": "invalid_request"}).encode()
_CUT_SHORT = json.dumps({"message": "The body is shorter than announced.", "code": "invalid_request"}).encode()
_UNAVAILABLE = json.dumps({"message": Unavailable.message, "code": Unavailable.code}).encode()
_RETRY = [*_JSON, ("retry-after", str(Unavailable.retry_after))]

# What a process is made of is loaded now and stays: the collector need not look through it again and again.
get_resolver().url_patterns  # noqa: B018  loads them
gc.collect()
gc.freeze()

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="django")
# What asks no database waits for none: a liveness probe has no process killed for a database that does not answer,
# and other services get the keys.
_ASKS_NO_DATABASE = ("/healthz", "/.well-known/")
_apart = ThreadPoolExecutor(1, thread_name_prefix="apart")


class BodyCutShort(Exception):
    """The client hung up before it had sent what it announced; half a form is no form."""


class Answer(NamedTuple):
    """What the application answers."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


async def application(scope: Scope, protocol: HTTPProtocol) -> None:
    """Answer one request."""
    try:
        body = await asyncio.wait_for(_read(scope, protocol), BODY_TIMEOUT)
    except TimeoutError:
        protocol.response_bytes(408, _JSON, _TOO_LATE)
        return
    except BodyCutShort:
        protocol.response_bytes(400, _JSON, _CUT_SHORT)
        return
    except ProtocolClosed:
        return
    threads = _apart if scope.path.startswith(_ASKS_NO_DATABASE) else _threads
    answering = asyncio.get_running_loop().run_in_executor(threads, _answer, environ_of(scope, body))
    try:
        answer = await asyncio.wait_for(answering, ANSWER_TIMEOUT)
    except TimeoutError:
        protocol.response_bytes(503, _RETRY, _UNAVAILABLE)
        return
    if answer.body:
        protocol.response_bytes(answer.status, answer.headers, answer.body)
    else:
        protocol.response_empty(answer.status, answer.headers)


def environ_of(scope: Scope, body: bytes) -> dict[str, Any]:
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
    environ |= _headers(scope.headers.items())
    if scope.authority is not None:
        environ["HTTP_HOST"] = scope.authority  # RFC 9112 section 3.2.2: it counts, and Host does not
    return environ


def _headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Spell headers as CGI does; those that come twice are joined (RFC 9110 section 5.3)."""
    spelled: dict[str, str] = {}
    for name, value in headers:
        if "_" in name or name == "content-length":
            continue
        key = "CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}"
        spelled[key] = f"{spelled[key]},{value}" if key in spelled else value
    return spelled


async def _read(scope: Scope, protocol: HTTPProtocol) -> bytes:
    """Read a body no further than one byte more than is allowed, which is enough to be refused for it."""
    if scope.method not in _METHODS_WITH_BODY:
        return b""
    body = bytearray()
    async for chunk in protocol:
        body += chunk
        if len(body) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return bytes(body)
    if len(body) < int(scope.headers.get("content-length") or 0):
        raise BodyCutShort
    return bytes(body)


def _answer(environ: dict[str, Any]) -> Answer:
    started: list[Answer] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], None]:
        lowered = [(name.lower(), value) for name, value in headers]
        started[:] = [Answer(int(status.partition(" ")[0]), lowered, b"")]
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
