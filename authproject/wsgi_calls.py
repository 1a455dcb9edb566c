"""Call the WSGI application with a request of granian's asynchronous interface (RSGI).

Header names with an underscore are dropped: in CGI's notation, a client's `X_Forwarded_For` could otherwise not be
distinguished from a proxy's `X-Forwarded-For`.
"""

import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from granian.rsgi import Scope

from authproject.request_threads import SERVER_NAME, Request, WsgiResponse
from authproject.wsgi import application

# granian reports the name of a header with bytes beyond ASCII, but not its value. Such a token counts as invalid.
_UNREADABLE_TOKENS = (
    ("authorization", "HTTP_AUTHORIZATION", "Bearer \xff"),
    ("x-access-token", "HTTP_X_ACCESS_TOKEN", "\xff"),
)


def call_wsgi(request: Request) -> WsgiResponse:
    """Return the application's response to a request."""
    environ = build_environ(request.scope, request.body)
    started: list[WsgiResponse] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], None]:
        lowercase_headers = [SERVER_NAME, *((name.lower(), value) for name, value in headers)]
        started[:] = [WsgiResponse(int(status.partition(" ")[0]), lowercase_headers, b"")]
        return no_write

    parts = application(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        # Django finishes the request here and releases its database connection.
        parts.close()
    return started[0]._replace(body=body)


def no_write(_: bytes) -> None:
    """WSGI's `write()`, which Django does not use."""
    raise NotImplementedError("Django does not use WSGI's write()")


def is_unix_socket(scope: Scope) -> bool:
    """Return whether the request arrived over a Unix socket."""
    return scope.server.startswith("/")  # its path


def build_environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """Return the WSGI environment of a request (PEP 3333)."""
    # A Unix socket has neither host nor port.
    server, _, port = ("localhost:80" if is_unix_socket(scope) else scope.server).rpartition(":")
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
