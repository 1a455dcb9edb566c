"""Receivers of logout tokens for tests: HTTP servers on loopback that count, fail, hang or lie."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt


class Receiver:
    """A receiver that responds with `status`, unless it `hangs`, and remembers the logout tokens that it was sent."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.status = 200
        self.hangs = threading.Event()
        self.stopped = threading.Event()
        self.tokens: list[str] = []
        self.requests: list[BaseHTTPRequestHandler] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler_of(self))
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/logout"
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def sessions(self) -> list[str]:
        """Return the `sid` of each logout token, in the order in which they arrived."""
        return [jwt.decode(token, options={"verify_signature": False})["sid"] for token in list(self.tokens)]

    def close(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()


def _handler_of(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            receiver.requests.append(self)
            receiver.tokens += parse_qs(body).get("logout_token", [])
            if receiver.hangs.is_set():
                receiver.stopped.wait(60)
                return
            self.send_response(receiver.status)
            if 300 <= receiver.status < 400:
                self.send_header("Location", receiver.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    return Handler


@contextlib.contextmanager
def receiver(**options: Any) -> Iterator[Receiver]:
    running = Receiver(**options)
    try:
        yield running
    finally:
        running.close()


@contextlib.contextmanager
def raw_receiver(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept connections, call `behave` with each in a thread of its own, and yield the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                behave(connection)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=serve, args=[connection], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)
