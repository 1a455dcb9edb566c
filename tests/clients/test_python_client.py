"""clients/python, against a running server: concurrent requests, sessions that processes share, and errors."""

import asyncio
import base64
import json
import os
import pickle
import re
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import time_machine
from authclient import Auth, AuthError, FileStore, MemoryStore

from tests.factories import PASSWORD
from tests.servers import ROOT

CLIENT = ROOT / "clients/python"


@pytest.fixture(scope="module")
def server(start_server):
    return start_server()


@pytest.fixture
def username(server, request):
    name = f"user{abs(hash(request.node.name))}"
    server.post("/api/auth/signup", {"username": name, "email": f"{name}@example.com", "password": PASSWORD})
    return name


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions" / "session.json"


@pytest.fixture
def auth(url, username, path):
    signed_in = Auth(url, store=FileStore(path))
    signed_in.sign_in(username, PASSWORD)
    return signed_in


def logged_events(server, path):
    """Count the events of the session in the file in the server's log, by name."""
    claims = FileStore(path).load().access_token.split(".")[1]
    session_id = json.loads(base64.urlsafe_b64decode(claims + "=="))["sid"]
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if session_id in line]
    return Counter(line["event"] for line in lines)


class FaultyProxy:
    """A proxy between client and server that loses responses, or replaces them with those of a busy server."""

    def __init__(self, target):
        # One for each of the next requests: "lose" the response, or replace it with (status, Retry-After).
        self.faults = []
        self.tokens = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                proxy.tokens.append(json.loads(body).get("refreshToken"))
                fault = proxy.faults.pop(0) if proxy.faults else None
                if isinstance(fault, tuple):
                    return self.respond(fault[0], b'{"code": "busy"}', {"Retry-After": str(fault[1])})
                response = httpx.post(
                    f"{target}{self.path}", content=body, headers={"Content-Type": "application/json"}
                )
                if fault == "lose":
                    return self.connection.close()
                return self.respond(response.status_code, response.content, {})

            def respond(self, status, content, headers):
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def stop(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def proxy(url):
    proxy = FaultyProxy(url)
    yield proxy
    proxy.stop()


@pytest.fixture
def client_through_proxy(proxy, url, auth, path):
    """Return a client of the stored session that refreshes tokens through the proxy."""
    return Auth(proxy.url, store=FileStore(path), services=[url])


def make_token_expire_soon(path, seconds=60):
    """Make the access token in the file due for a refresh now, and expire in `seconds`."""
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "renew_at": time.time() - 1, "expires_at": time.time() + seconds}))


def get(auth, url, name="user"):
    return httpx.get(f"{url}/api/test/{name}", auth=auth)


def test_requests_of_a_signed_in_client_succeed(auth, url):
    response = get(auth, url)

    assert (response.status_code, response.text) == (200, "User Content.")


def test_a_wrong_password_raises_an_error_with_its_code(url, username):
    with pytest.raises(AuthError) as caught:
        Auth(url).sign_in(username, "wrong password")

    assert (caught.value.code, caught.value.status, caught.value.needs_sign_in) == (
        "invalid_credentials",
        401,
        False,
    )


def test_a_request_without_a_session_raises_an_error(url):
    with pytest.raises(AuthError) as caught:
        get(Auth(url), url)

    assert caught.value.needs_sign_in


def test_credentials_are_requested_once_if_there_is_no_session(url, username):
    calls = []
    auth = Auth(url, credentials=lambda: calls.append(1) or (username, PASSWORD))

    assert {get(auth, url).status_code for _ in range(3)} == {200}
    assert calls == [1]


def test_twenty_threads_with_a_stale_token_refresh_once(server, auth, url, username, path):
    server.manage("grantrole", username, "moderator")

    with ThreadPoolExecutor(20) as pool, httpx.Client(auth=auth) as http:
        responses = list(pool.map(lambda _: http.get(f"{url}/api/test/mod"), range(20)))

    assert {response.text for response in responses} == {"Moderator Content."}
    assert logged_events(server, path)["session:refreshed"] == 1
    assert "session:refresh_repeated" not in logged_events(server, path)


def test_twenty_tasks_with_an_expiring_token_refresh_once(server, auth, url, path):
    make_token_expire_soon(path)
    client = Auth(url, store=FileStore(path))

    async def send_requests():
        async with httpx.AsyncClient(auth=client, base_url=url) as http:
            return await asyncio.gather(*[http.get("/api/test/user") for _ in range(20)])

    assert {response.status_code for response in asyncio.run(send_requests())} == {200}
    assert logged_events(server, path)["session:refreshed"] == 1
    assert "session:refresh_repeated" not in logged_events(server, path)


def test_twenty_tasks_with_a_stale_token_refresh_once(server, auth, url, username, path):
    server.manage("grantrole", username, "admin")

    async def send_requests():
        async with httpx.AsyncClient(auth=auth, base_url=url) as http:
            return await asyncio.gather(*[http.get("/api/test/admin") for _ in range(20)])

    assert {response.text for response in asyncio.run(send_requests())} == {"Admin Content."}
    assert logged_events(server, path)["session:refreshed"] == 1


def test_the_session_stays_usable_if_a_task_is_canceled_during_a_refresh(
    server, client_through_proxy, proxy, url, path
):
    make_token_expire_soon(path)
    proxy.faults = [(503, 1)]
    client = Auth(proxy.url, store=FileStore(path), services=[url])

    async def send_requests():
        async with httpx.AsyncClient(auth=client, base_url=url) as http:
            task = asyncio.create_task(http.get("/api/test/user"))
            while not proxy.tokens:  # noqa: ASYNC110  the proxy's thread fills it
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await http.get("/api/test/user")

    assert asyncio.run(send_requests()).status_code == 200
    assert logged_events(server, path)["session:refreshed"] == 1


def test_a_new_client_continues_the_stored_session(auth, url, path):
    client = Auth(url, store=FileStore(path))

    assert get(client, url).status_code == 200


def test_only_the_owner_can_read_the_session_file(auth, path):
    assert [entry.name for entry in path.parent.iterdir() if entry.suffix != ".lock"] == [path.name]
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_without_a_session_means_not_signed_in(url, path):
    path.parent.mkdir()
    path.write_text("[]")

    with pytest.raises(AuthError) as caught:
        get(Auth(url, store=FileStore(path)), url)

    assert caught.value.code == "not_signed_in"


def test_a_revoked_session_raises_an_error_and_is_deleted(auth, url, path, server):
    token = FileStore(path).load().refresh_token
    server.post("/api/auth/signout", {"refreshToken": token})

    codes = []
    for _ in range(2):
        with pytest.raises(AuthError) as caught:
            get(auth, url)
        codes.append(caught.value.code)
        assert caught.value.needs_sign_in

    assert codes == ["refresh_token_revoked", "not_signed_in"]
    assert not path.exists()


def test_a_client_with_credentials_signs_in_again_after_a_revocation(auth, url, path, server, username):
    server.post("/api/auth/signout", {"refreshToken": FileStore(path).load().refresh_token})
    client = Auth(url, store=FileStore(path), credentials=lambda: (username, PASSWORD))

    assert get(client, url).status_code == 200


def test_a_sign_out_ends_the_session_for_every_client_of_the_file(auth, url, path):
    other = Auth(url, store=FileStore(path))
    auth.sign_out()

    with pytest.raises(AuthError) as caught:
        get(other, url)

    assert caught.value.code == "not_signed_in"


def test_a_user_who_confirmed_the_password_can_change_the_email_address(auth, url, path, username):
    with time_machine.travel(time.time() + 600):
        auth.reauthenticate(PASSWORD)

    response = httpx.patch(f"{url}/api/auth/me", json={"email": f"{username}@example.org"}, auth=auth)
    assert response.status_code == 200, response.text


def test_the_password_is_confirmed_although_the_access_token_is_stale(server, auth, username):
    server.manage("grantrole", username, "moderator")

    auth.reauthenticate(PASSWORD)


SCRIPT = """
import sys, time, httpx
from authclient import Auth, FileStore

url, path, start_at = sys.argv[1:]
auth = Auth(url, store=FileStore(path))
time.sleep(max(0, float(start_at) - time.time()))
print([httpx.get(f"{url}/api/test/user", auth=auth).status_code for _ in range(5)])
"""


def test_processes_that_share_the_file_refresh_once(server, auth, url, path):
    make_token_expire_soon(path)
    command = [sys.executable, "-c", SCRIPT, url, str(path), str(time.time() + 3)]
    running = [
        subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(CLIENT)}, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    assert {process.communicate(timeout=60)[0].strip() for process in running} == {str([200] * 5)}
    assert logged_events(server, path)["session:refreshed"] == 1
    assert "session:refresh_repeated" not in logged_events(server, path)


def test_a_refresh_whose_response_is_lost_is_repeated_with_the_same_token(
    server, proxy, client_through_proxy, url, path
):
    make_token_expire_soon(path, seconds=0)
    proxy.faults = ["lose"]
    client = Auth(proxy.url, store=FileStore(path), services=[url])

    assert get(client, url).status_code == 200
    assert len(proxy.tokens) == 2
    assert len(set(proxy.tokens)) == 1
    assert logged_events(server, path)["session:refresh_repeated"] == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_refresh_is_retried_after_the_seconds_in_retry_after(proxy, client_through_proxy, url, path, status):
    make_token_expire_soon(path, seconds=0)
    proxy.faults = [(status, 2)]
    client = Auth(proxy.url, store=FileStore(path), services=[url])
    started_at = time.monotonic()

    assert get(client, url).status_code == 200
    assert time.monotonic() - started_at >= 2
    assert len(proxy.tokens) == 2


def test_no_refresh_is_sent_until_a_long_retry_after_has_passed(
    proxy, client_through_proxy, url, path, monkeypatch
):
    make_token_expire_soon(path, seconds=0)
    proxy.faults = [(429, 900)]
    client = Auth(proxy.url, store=FileStore(path), services=[url])

    for _ in range(3):
        with pytest.raises(AuthError) as caught:
            get(client, url)
        assert (caught.value.status, caught.value.retry_after) == (429, 900)

    with time_machine.travel(time.time() + 86400), pytest.raises(AuthError):
        get(client, url)  # a clock that is set ends no pause

    assert len(proxy.tokens) == 1
    monotonic = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 901)
    assert get(client, url).status_code == 200


def test_a_valid_token_is_used_while_a_refresh_is_refused(proxy, client_through_proxy, url, path):
    make_token_expire_soon(path)
    proxy.faults = [(503, 900)]
    client = Auth(proxy.url, store=FileStore(path), services=[url])

    assert [get(client, url).status_code for _ in range(3)] == [200] * 3
    assert len(proxy.tokens) == 1


def test_the_token_is_sent_to_no_other_origin(auth, proxy):
    sent = []
    transport = httpx.MockTransport(lambda request: sent.append(request.headers) or httpx.Response(200))
    with httpx.Client(auth=auth, transport=transport) as http:
        http.get(proxy.url)
        http.get("https://evil.example.com/")

    assert [headers.get("authorization") for headers in sent] == [None, None]


def test_a_password_is_not_sent_where_a_redirect_leads(tmp_path):
    asked = []

    def redirect(request):
        asked.append(request.url.host)
        return httpx.Response(307, headers={"Location": "https://evil.example/"})

    http = httpx.Client(transport=httpx.MockTransport(redirect), follow_redirects=True)
    with pytest.raises(AuthError) as raised:
        Auth("https://auth.example.com", store=FileStore(tmp_path / "session.json"), http=http).sign_in(
            "alice", PASSWORD
        )

    assert (raised.value.status, asked) == (307, ["auth.example.com"])


def test_a_streamed_body_is_sent_once_and_the_next_request_has_the_new_token(server, auth, url, username):
    server.manage("grantrole", username, "moderator")

    with httpx.Client(auth=auth, base_url=url) as http:
        refused = http.patch("/api/auth/me", content=iter([b'{"fullname": "Alice"}']))
        assert (refused.status_code, refused.json()["code"]) == (401, "token_stale")
        assert http.get("/api/test/mod").status_code == 200


def test_several_clients_can_share_a_store(server, url, username):
    store = MemoryStore()
    first, second = Auth(url, store=store), Auth(url, store=store)
    first.sign_in(username, PASSWORD)

    assert get(second, url).status_code == 200


def test_an_error_can_be_pickled():
    error = AuthError("throttled", "Too many attempts.", status=429, retry_after=7)
    copy = pickle.loads(pickle.dumps(error))

    assert (copy.code, copy.status, copy.retry_after, str(copy)) == (
        "throttled", 429, 7, "Too many attempts. [throttled]",
    )  # fmt: skip


def test_the_repr_of_a_session_contains_no_token(path, auth):
    session = FileStore(path).load()

    assert session.access_token not in repr(session)
    assert session.refresh_token not in repr(session)


def test_the_example_in_the_readme_verifies_a_token(server, url, username):
    example = re.findall(r"```python\n(.*?)```", (CLIENT / "README.md").read_text(), re.DOTALL)[0]
    variables = {"access_token": server.sign_in(username)["accessToken"]}

    exec(example.replace("http://localhost:8000", f"http://localhost:{server.port}"), variables)

    assert variables["token"].roles == ("user",)


def test_the_examples_in_the_readme_work(server, url, username, tmp_path, monkeypatch):
    _, _, example, error_example, _ = re.findall(
        r"```python\n(.*?)```", (CLIENT / "README.md").read_text(), re.DOTALL
    )
    script = (example + error_example).replace("http://127.0.0.1:8000", url).replace("~", str(tmp_path))
    script = script.replace('"alice"', repr(username)).replace("correct horse", PASSWORD)

    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(CLIENT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout == "User Content.\n"
