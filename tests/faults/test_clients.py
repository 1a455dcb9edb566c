"""Test clients that are slow or silent, and clients that are connected when the service stops."""

import contextlib
import selectors
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from authproject.tcp_user_timeout import READ_TIMEOUT
from tests.servers import Server, environment, wait_until

HEAD = b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = b'{"username": "nobody", "password": "wrong password"}'
TIMEOUT = 10  # seconds; the server's limit for the header section, and for the body


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture of conftest.py: these tests use only the database of the server."""


@pytest.fixture(scope="module")
def service(tmp_path_factory, django_db_setup, django_db_blocker):
    folder = tmp_path_factory.mktemp("faults")
    running = Server(environment(folder, django_db_blocker, AUTH_ACCOUNT_LIMIT=""), folder / "log")
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0


@pytest.fixture
def server(service):
    if service.process.poll() is not None:
        service.start()
    return service


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


class SlowClient:
    """A client that sends one byte per second, or none, until the server closes the connection."""

    def __init__(self, server, start, byte=b"x"):
        self.byte = byte
        self.started = time.monotonic()
        self.closed_after = None
        self.received = b""
        self.socket = connect(server)
        self.socket.sendall(start)
        self.socket.setblocking(False)  # noqa: FBT003  the method takes no keyword

    def send_a_byte(self):
        if self.closed_after is None:
            with contextlib.suppress(OSError):  # a closed connection is detected by read()
                self.socket.send(self.byte)

    def read(self):
        try:
            data = self.socket.recv(1000)
        except OSError:
            data = b""
        self.received += data
        if not data:
            self.closed_after = time.monotonic() - self.started
            self.socket.close()
        return bool(data)


def send_slowly(clients, stop):
    """Send one byte per client and second until `stop` is set; record when each client is disconnected."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        while selector.get_map() and not stop.is_set():
            next_byte_at = time.monotonic() + 1
            while (left := next_byte_at - time.monotonic()) > 0 and selector.get_map():
                for key, _ in selector.select(left):
                    if not key.data.read():
                        selector.unregister(key.fileobj)
            for client in clients:
                client.send_a_byte()


STARTS = [
    b"",
    HEAD + b"X-Slow: ",
    HEAD + b"Content-Length: 1000\r\n\r\n",
    HEAD + b"Content-Length: 1000\r\n\r\n{",
]


def test_two_hundred_slow_clients_are_disconnected_and_block_no_other_client(server):
    pair = server.sign_in("alice")
    silent = [SlowClient(server, b"", byte=b"") for _ in range(20)]
    slow = [SlowClient(server, start) for start in STARTS for _ in range(50)]
    stop = Event()
    deadline = time.monotonic() + 4 * TIMEOUT
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_slowly, [*silent, *slow], stop)
        try:
            durations = []
            while not sending.done() and time.monotonic() < deadline:
                started = time.monotonic()
                assert server.content(pair) == 200
                status, pair = server.refresh(pair)
                assert status == 200, pair
                durations.append(time.monotonic() - started)
                pause(sending)
        finally:
            stop.set()
        sending.result(timeout=120)

    assert len(durations) > 10
    assert max(durations) < 5
    for client in [*silent, *slow]:
        assert TIMEOUT - 1 < (client.closed_after or deadline) < 3 * TIMEOUT
    assert {client.received.split(b"\r\n")[0] for client in slow[100:]} == {b"HTTP/1.1 408 Request Timeout"}


def pause(sending):
    """Wait 0.2 seconds, or until `sending` is done."""
    with contextlib.suppress(TimeoutError):
        sending.result(timeout=0.2)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="needs TCP_USER_TIMEOUT")
def test_a_client_that_does_not_read_the_response_is_disconnected(server):
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", server.port))
        client.setblocking(False)  # noqa: FBT003  the method takes no keyword
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):
                client.send(b"GET /api/schema HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        wait_until(lambda: is_connected(server, client))  # a busy worker accepts it later

        wait_until(lambda: not is_connected(server, client), seconds=3 * READ_TIMEOUT)

    assert server.request("GET", "/healthz")[0] == 200


def is_connected(server, client):
    """Return whether a worker still has a connection to the client."""
    address = client.getsockname()
    return any(
        connection.raddr == address for worker in server.workers() for connection in worker.net_connections()
    )


def test_a_request_in_progress_is_completed_when_the_service_stops(server):
    with connect(server) as in_body, connect(server) as idle, connect(server), connect(server) as in_head:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in idle.recv(1000)
        in_head.sendall(b"GET /hea")
        in_body.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert in_body.recv(1000).startswith(b"HTTP/1.1 100 ")
        in_body.sendall(BODY[:5])

        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server), seconds=TIMEOUT - 1)
        in_body.sendall(BODY[5:])

        assert in_body.recv(1000).startswith(b"HTTP/1.1 401 ")
    assert server.process.wait(timeout=20) == 0
    assert is_refused(server)


def is_refused(server):
    """Return whether no process listens any more.

    A connection that the kernel accepted just before the last listener closed is reset, not refused.
    """
    try:
        with contextlib.suppress(ConnectionResetError):
            connect(server).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_service_can_be_stopped_while_it_starts(server):
    server.stop()
    for _ in range(3):
        server.launch()
        wait_until(lambda: len(server.workers()) == 2)

        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(timeout=20) == 0
