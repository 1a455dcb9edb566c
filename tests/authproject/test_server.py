"""The real server: processes, sockets, signals, and a database of its own."""

import contextlib
import json
import select
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.factories import PASSWORD
from tests.servers import ROOT, Server, free_port


@pytest.fixture(scope="module")
def server(served):
    return served()


@pytest.fixture(scope="module")
def busy(served):
    return served(WORKERS="1", AUTH_ACCOUNT_LIMIT="")


@pytest.fixture
def pair(server, request):
    return server.sign_in(f"user{abs(hash(request.node.name))}")


def many(server, number, task):
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: task(), range(number)))


def test_fifty_refreshes_over_two_processes_get_the_same_successor(server, pair):
    answers = many(
        server, 50, lambda: server.post("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]})
    )

    assert Counter(status for status, _ in answers) == {200: 50}
    assert len({body["refreshToken"] for _, body in answers}) == 1


def test_guesses_over_two_processes_count_in_full(server, pair):
    body = {"username": pair["username"], "password": "wrong password"}

    answers = many(server, 30, lambda: server.post("/api/auth/signin", body))

    assert Counter(status for status, _ in answers) == {401: 10, 429: 20}


def test_a_revocation_is_seen_by_every_process(server, pair):
    bearer = {"Authorization": f"Bearer {pair['accessToken']}"}
    assert {server.request("GET", "/api/test/user", **bearer)[0] for _ in range(10)} == {200}

    server.manage("deactivateuser", pair["username"])

    assert {server.request("GET", "/api/test/user", **bearer)[0] for _ in range(10)} == {401}


def test_a_body_that_comes_in_chunks_is_read(server, pair):
    chunks = (part.encode() for part in ('{"refreshToken": "', pair["refreshToken"], '"}'))

    status, body = server.post("/api/auth/refreshtoken", chunks)

    assert status == 200, body


def test_chunks_beyond_the_limit_are_refused(server):
    status, body = server.post("/api/auth/signin", (b"x" * 65536 for _ in range(2)))

    assert (status, body["code"]) == (413, "payload_too_large")


def test_a_body_without_end_is_read_no_further_than_needed(server):
    # The server answers and hangs up, which the client may notice while it is still sending.
    with contextlib.suppress(ConnectionError):
        status, _ = server.post("/api/auth/signin", (b"x" * 65536 for _ in range(1000)))
        assert status == 413

    assert server.request("GET", "/healthz")[0] == 200


def test_one_header_twice_is_refused(server, pair):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(
            b"GET /api/test/user HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            + f"x-access-token: {pair['accessToken']}\r\n".encode() * 2
            + b"\r\n"
        )
        answer = raw.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"invalid_request" in answer


def test_the_address_that_a_trusted_proxy_forwards_is_recorded(server, pair):
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
def test_no_content_type_is_a_fault(server, content_type, path):
    for method in ("GET", "POST"):
        assert server.request(method, path, b"{}", **{"Content-Type": content_type})[0] < 500


def test_clients_that_send_a_byte_and_nothing_more_hold_up_nobody(server, pair):
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(40)]
    try:
        for number, one in enumerate(slow):
            length = b"Transfer-Encoding: chunked\r\n\r\n1\r\n{" if number % 2 else b"Content-Length: 50\r\n\r\n{"
            one.sendall(
                b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + length
            )

        status, _ = server.post("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]})

        assert status == 200
        assert slow[0].recv(100).startswith(b"HTTP/1.1 408 ")
    finally:
        for one in slow:
            one.close()


def test_nobody_waits_behind_those_who_sign_in(busy):
    bearer = {"Authorization": f"Bearer {busy.sign_in('patient')['accessToken']}"}
    body = json.dumps({"username": "patient", "password": PASSWORD}).encode()
    signing_in = [socket.create_connection(("127.0.0.1", busy.port), timeout=30) for _ in range(40)]
    for one in signing_in:
        one.sendall(
            b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
    first = signing_in[0].recv(12)

    assert busy.request("GET", "/api/test/user", **bearer)[0] == 200

    answered, _, _ = select.select(signing_in, [], [], 0)
    assert len(answered) < 20
    assert {first, *(one.recv(12) for one in signing_in[1:])} == {b"HTTP/1.1 200"}
    for one in signing_in:
        one.close()


def test_a_header_with_an_underscore_stands_for_no_other(server, pair):
    body = {"username": pair["username"], "password": "wrong password"}

    server.post("/api/auth/signin", body, X_Forwarded_For="66.66.66.66", **{"X-Forwarded-For": "203.0.113.99"})

    assert server.request("GET", "/api/test/user", X_ACCESS_TOKEN=pair["accessToken"])[0] == 401
    assert "203.0.113.99" in server.log.read_text()
    assert "66.66.66.66" not in server.log.read_text()


def test_pages_are_served_and_heads_have_no_body(server):
    status, page = server.request("GET", "/admin/login/")
    assert (status, b"Token authentication" in page) == (200, True)

    status, nothing = server.request("HEAD", "/api/test/all")
    assert (status, nothing) == (200, b"")


@pytest.mark.parametrize("path", ["/%E5%BC%A0", "/%ff", "/a%00b", "//evil.example", "/%2e%2e/x", "/?x=%ff"])
def test_no_path_is_a_fault(server, path):
    assert server.request("GET", path)[0] in (200, 404)


def test_a_body_cut_short_is_not_taken_for_a_whole_one(server, pair):
    form = f"username={pair['username']}&password={PASSWORD.replace(' ', '+')}".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(
            b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + form
        )
        raw.shutdown(socket.SHUT_WR)

        assert b" 200 " not in raw.makefile("rb").read()


def test_requests_in_flight_are_finished_when_the_server_stops(server, tmp_path):
    other = Server({**server.environment, "PORT": str(free_port())}, tmp_path / "log")
    asked = [socket.create_connection(("127.0.0.1", other.port), timeout=30) for _ in range(20)]
    for one in asked:
        one.sendall(
            b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 36\r\n\r\n{"username": "nobody","password":""}'
        )
    first = asked[0].recv(12)

    assert other.stop() == 0

    answers = [first, *(one.recv(12) for one in asked[1:])]
    for one in asked:
        one.close()
    assert set(answers) <= {b"HTTP/1.1 401", b"HTTP/1.1 429"}


def test_a_server_that_is_stopped_while_it_starts_stops_at_once(server, tmp_path):
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


def test_bytes_that_are_no_http_are_no_fault(server):
    for sent in (
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"GET /api/test/user HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
            raw.sendall(sent)
            raw.shutdown(socket.SHUT_WR)
            assert b" 500 " not in raw.makefile("rb").read()

    assert server.request("GET", "/healthz")[0] == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's flow is for those who have curl")
def test_the_readme_s_flow_does_what_it_says(server):
    flow = (
        (ROOT / "README.md")
        .read_text()
        .partition("## Sign up, sign in, call the API")[2]
        .split("```")[1]
        .removeprefix("sh\n")
    )
    script = flow.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")

    told = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True, timeout=60).stdout

    registered, content, refused, signed_out, over = told.splitlines()
    assert json.loads(registered)["message"] == "User was registered successfully!"
    assert (content, signed_out) == ("User Content.", "")
    assert json.loads(refused)["code"] == "role_required"
    assert json.loads(over)["code"] == "token_revoked"
