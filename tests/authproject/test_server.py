"""Test a running server: several processes, slow clients, signals, and malformed requests."""

import contextlib
import json
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.factories import PASSWORD
from tests.servers import ROOT, Server, free_port


@pytest.fixture(scope="module")
def server(start_server):
    return start_server()


@pytest.fixture(scope="module")
def single_worker(start_server):
    return start_server(WORKERS="1", AUTH_ACCOUNT_LIMIT="")


@pytest.fixture
def pair(server, request):
    return server.sign_in(f"user{abs(hash(request.node.name))}")


def in_parallel(number, task):
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: task(), range(number)))


def test_fifty_concurrent_refreshes_over_two_processes_get_the_same_successor(server, pair):
    responses = in_parallel(
        50, lambda: server.post("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]})
    )

    assert Counter(status for status, _ in responses) == {200: 50}
    assert len({body["refreshToken"] for _, body in responses}) == 1


def test_failed_sign_ins_are_counted_across_processes(server, pair):
    body = {"username": pair["username"], "password": "wrong password"}

    responses = in_parallel(30, lambda: server.post("/api/auth/signin", body))

    assert Counter(status for status, _ in responses) == {401: 10, 429: 20}


def test_a_revocation_takes_effect_in_every_process(server, pair):
    bearer = {"Authorization": f"Bearer {pair['accessToken']}"}
    assert {server.request("GET", "/api/test/user", **bearer)[0] for _ in range(10)} == {200}

    server.manage("deactivateuser", pair["username"])

    assert {server.request("GET", "/api/test/user", **bearer)[0] for _ in range(10)} == {401}


def test_workers_share_most_memory_with_the_process_that_starts_them(server):
    loaded = psutil.Process(server.process.pid).memory_info().rss

    for worker in server.workers():
        memory = worker.memory_full_info()
        assert memory.rss - memory.uss > loaded / 2


def send_whole(address, head, body):
    with socket.create_connection(address) as client:
        for _ in range(10):
            client.sendall(head + body)
            assert client.recv(4096).startswith(b"HTTP/1.1 ")


def reset(address, head, body):
    with socket.create_connection(address) as client:
        client.sendall(head + body[:9])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(("send", "number"), [(send_whole, 200), (reset, 2000)])
def test_the_memory_of_a_worker_does_not_grow_with_the_requests(single_worker, send, number):
    body = json.dumps({"refreshToken": "x"}).encode()
    head = b"POST /api/auth/refreshtoken HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n".encode()
    (worker,) = psutil.Process(single_worker.process.pid).children()

    def repeat():
        for _ in range(number):
            send(("127.0.0.1", single_worker.port), head, body)
        send_whole(("127.0.0.1", single_worker.port), head, body)  # when it is answered, the others were received
        return worker.memory_info().rss

    repeat()  # what the first requests load stays
    before = repeat()

    assert repeat() - before < 5 * 2**20  # one that is kept takes 7 to 11 KiB


def test_a_chunked_body_is_accepted(server, pair):
    chunks = (part.encode() for part in ('{"refreshToken": "', pair["refreshToken"], '"}'))

    status, body = server.post("/api/auth/refreshtoken", chunks)

    assert status == 200, body


def test_a_chunked_body_over_the_size_limit_is_refused(server):
    status, body = server.post("/api/auth/signin", (b"x" * 65536 for _ in range(2)))

    assert (status, body["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(("origin", "allowed"), [("http://localhost:8081", True), ("http://evil.example", False)])
def test_a_page_of_an_allowed_origin_can_read_what_the_server_refuses(server, origin, allowed):
    status, headers, _ = server.exchange("POST", "/api/auth/signin", b"x" * 65537, Origin=origin)

    assert status == 413
    assert headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
    assert headers["Vary"] == "origin"


def test_the_admin_takes_large_bodies_only_with_a_session(server):
    body = {"text": "x" * 100_000}

    assert server.request("POST", "/admin/login/", body)[0] == 413
    assert server.request("POST", "/admin/login/", body, Cookie="sessionid=x")[0] == 403


def test_an_endless_body_does_not_keep_the_server_busy(server):
    # The server responds and closes the connection, possibly while the client is still sending.
    with contextlib.suppress(ConnectionError):
        status, _ = server.post("/api/auth/signin", (b"x" * 65536 for _ in range(1000)))
        assert status == 413

    assert server.request("GET", "/healthz")[0] == 200


def test_a_duplicate_token_header_is_refused(server, pair):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(
            b"GET /api/test/user HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            + f"x-access-token: {pair['accessToken']}\r\n".encode() * 2
            + b"\r\n"
        )
        response = connection.makefile("rb").read()

    assert response.startswith(b"HTTP/1.1 400 ")
    assert b"invalid_request" in response


def test_the_ip_address_forwarded_by_a_trusted_proxy_is_logged(server, pair):
    body = {"username": pair["username"], "password": PASSWORD}

    server.post("/api/auth/signin", body, **{"X-Forwarded-For": "203.0.113.77"})

    assert "203.0.113.77" in server.log.read_text()


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain; charset*=utf-8''%00",
        "text/plain; charset*=foo''x",
        "application/json; a*0=x; a*=z",
        "application/json; charset=base64",
        "x; charset=rot13",
        ";",
        "multipart/form-data; boundary=%00",
    ],
)
@pytest.mark.parametrize("path", ["/healthz?x=%ff", "/api/auth/signin?a=1", "/admin/login/?a=%ff", "/nowhere?a=1"])
def test_no_content_type_causes_a_server_error(server, content_type, path):
    for method in ("GET", "POST"):
        assert server.request(method, path, b"{}", **{"Content-Type": content_type})[0] < 500


def test_clients_that_stop_sending_do_not_delay_other_requests(server, pair):
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(40)]
    try:
        for number, connection in enumerate(connections):
            length = b"Transfer-Encoding: chunked\r\n\r\n1\r\n{" if number % 2 else b"Content-Length: 50\r\n\r\n{"
            connection.sendall(
                b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + length
            )

        status, _ = server.post("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]})

        assert status == 200
        assert connections[0].recv(100).startswith(b"HTTP/1.1 408 ")
    finally:
        for connection in connections:
            connection.close()


def test_concurrent_sign_ins_do_not_delay_other_requests(single_worker):
    bearer = {"Authorization": f"Bearer {single_worker.sign_in('patient')['accessToken']}"}
    body = json.dumps({"username": "patient", "password": PASSWORD}).encode()
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", single_worker.port)
        connections = [stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(40)]
        for connection in connections:
            connection.sendall(
                b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
        first = connections[0].recv(12)

        assert single_worker.request("GET", "/api/test/user", **bearer)[0] == 200

        # In a queue shared with the sign-ins, all but the last few would come first.
        responded, _, _ = select.select(connections[1:], [], [], 0)
        assert len(responded) < 36
        assert {first, *(connection.recv(12) for connection in connections[1:])} == {b"HTTP/1.1 200"}


def test_a_header_with_underscores_is_not_read_as_one_with_hyphens(server, pair):
    body = {"username": pair["username"], "password": "wrong password"}

    server.post("/api/auth/signin", body, X_Forwarded_For="66.66.66.66", **{"X-Forwarded-For": "203.0.113.99"})

    assert server.request("GET", "/api/test/user", X_ACCESS_TOKEN=pair["accessToken"])[0] == 401
    assert "203.0.113.99" in server.log.read_text()
    assert "66.66.66.66" not in server.log.read_text()


def test_pages_are_served_and_responses_to_head_have_no_body(server):
    status, page = server.request("GET", "/admin/login/")
    assert (status, b"Token authentication" in page) == (200, True)

    status, body = server.request("HEAD", "/api/test/all")
    assert (status, body) == (200, b"")


@pytest.mark.parametrize("path", ["/%E5%BC%A0", "/%ff", "/a%00b", "//evil.example", "/%2e%2e/x", "/?x=%ff"])
def test_no_path_causes_a_server_error(server, path):
    assert server.request("GET", path)[0] in (200, 404)


def test_a_truncated_body_is_not_accepted(server, pair):
    form = f"username={pair['username']}&password={PASSWORD.replace(' ', '+')}".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(
            b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + form
        )
        connection.shutdown(socket.SHUT_WR)

        assert b" 200 " not in connection.makefile("rb").read()


def test_requests_in_flight_are_finished_when_the_server_stops(server, tmp_path):
    other = Server({**server.environment, "PORT": str(free_port())}, tmp_path / "log")
    connections = [socket.create_connection(("127.0.0.1", other.port), timeout=30) for _ in range(20)]
    for connection in connections:
        connection.sendall(
            b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 36\r\n\r\n{"username": "nobody","password":""}'
        )
    first = connections[0].recv(12)

    assert other.stop() == 0

    responses = [first, *(connection.recv(12) for connection in connections[1:])]
    for connection in connections:
        connection.close()
    assert set(responses) <= {b"HTTP/1.1 401", b"HTTP/1.1 429"}


def test_a_server_that_is_terminated_during_startup_exits_cleanly(server, tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as output:
        starting = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env={**server.environment, "PORT": str(free_port()), "WORKERS": "4"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    while "Spawning worker-4" not in log.read_text():
        time.sleep(0.01)

    starting.terminate()

    assert starting.wait(timeout=15) == 0


def test_a_port_that_another_server_uses_is_refused_and_free_right_after_a_stop(server, tmp_path):
    other = Server({**server.environment, "PORT": str(free_port())}, tmp_path / "log")
    connection = socket.create_connection(("127.0.0.1", other.port), timeout=30)
    for host in ("127.0.0.1", "0.0.0.0"):
        second = subprocess.run(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT, env={**other.environment, "HOST": host}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert f"Cannot listen on {host}:{other.port}: Address already in use. Allowed: " in second.stderr

    assert other.stop() == 0
    other.start()
    assert other.stop() == 0
    connection.close()


def test_an_address_that_cannot_be_used_is_refused_with_its_setting(server, tmp_path):
    (tmp_path / "file").touch()
    for settings, reason in [
        (
            {"HOST": "unix:/nowhere/socket"},
            "No such file or directory. Allowed: a HOST of unix:/PATH in an existing, writable folder",
        ),
        (
            {"AUTH_METRICS": f"127.0.0.1:{server.port}"},
            "Address already in use. Allowed: an AUTH_METRICS that is free",
        ),
    ]:
        refused = subprocess.run(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT, env={**server.environment, "PORT": str(free_port()), **settings},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert refused.returncode == 1
        assert reason in refused.stderr
        assert "Traceback" not in refused.stderr


def test_bytes_that_are_not_http_cause_no_server_error(server):
    for content in (
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"GET /api/test/user HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            assert b" 500 " not in connection.makefile("rb").read()

    assert server.request("GET", "/healthz")[0] == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands in the README need curl")
def test_the_commands_in_the_readme_work_as_described(server):
    commands = (
        (ROOT / "README.md")
        .read_text()
        .partition("## Sign up, sign in, call the API")[2]
        .split("```")[1]
        .removeprefix("sh\n")
    )
    script = commands.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")

    output = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    registered, content, refused, signed_out, revoked = output.splitlines()
    assert json.loads(registered)["message"] == "User was registered successfully!"
    assert (content, signed_out) == ("User Content.", "")
    assert json.loads(refused)["code"] == "role_required"
    assert json.loads(revoked)["code"] == "token_revoked"


def test_a_database_that_was_not_migrated_is_reported_at_the_start(tmp_path):
    """The port is taken, so that the command ends."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env={
                **os.environ,
                "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
                "AUTH_KEYS_DIR": str(tmp_path / "keys"),
                "PORT": str(taken.getsockname()[1]),
            },
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert re.match(r"The database lacks \d+ migration\(s\)\. Run `manage.py migrate`; until then", done.stderr)
    assert "Address already in use" in done.stderr
