"""clients/python against a running server: one refresh for all, a session that outlives processes, clear errors."""

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
    return tmp_path / "kept" / "session.json"


@pytest.fixture
def auth(url, username, path):
    signed_in = Auth(url, store=FileStore(path))
    signed_in.sign_in(username, PASSWORD)
    return signed_in


def events(server, path):
    """What the server's log tells of the session in the file."""
    claims = FileStore(path).load().access_token.split(".")[1]
    session_id = json.loads(base64.urlsafe_b64decode(claims + "=="))["sid"]
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if session_id in line]
    return Counter(line["event"] for line in lines)


class Between:
    """Stands between client and server, and does to answers what networks and busy servers do."""

    def __init__(self, target):
        self.troubles = []  # for the next requests: "lose" the answer, or (status, Retry-After) in its place
        self.tokens = []
        between = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                between.tokens.append(json.loads(body).get("refreshToken"))
                trouble = between.troubles.pop(0) if between.troubles else None
                if isinstance(trouble, tuple):
                    return self.answer(trouble[0], b'{"code": "busy"}', {"Retry-After": str(trouble[1])})
                answer = httpx.post(
                    f"{target}{self.path}", content=body, headers={"Content-Type": "application/json"}
                )
                if trouble == "lose":
                    return self.connection.close()
                return self.answer(answer.status_code, answer.content, {})

            def answer(self, status, content, headers):
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
def between(url):
    standing = Between(url)
    yield standing
    standing.stop()


@pytest.fixture
def through(between, url, auth, path):
    """The same session, whose tokens come the hard way."""
    return Auth(between.url, store=FileStore(path), services=[url])


def ageing(path, seconds=60):
    """Have the access token in the file end soon."""
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "renew_at": time.time() - 1, "expires_at": time.time() + seconds}))


def get(auth, url, name="user"):
    return httpx.get(f"{url}/api/test/{name}", auth=auth)


def test_a_client_signs_in_and_its_requests_pass(auth, url):
    answer = get(auth, url)

    assert (answer.status_code, answer.text) == (200, "User Content.")


def test_a_wrong_password_is_an_error_with_a_code(url, username):
    with pytest.raises(AuthError) as caught:
        Auth(url).sign_in(username, "wrong password")

    assert (caught.value.code, caught.value.status, caught.value.needs_sign_in) == (
        "invalid_credentials",
        401,
        False,
    )


def test_without_a_session_nothing_is_sent(url):
    with pytest.raises(AuthError) as caught:
        get(Auth(url), url)

    assert caught.value.needs_sign_in


def test_credentials_are_asked_for_once_when_there_is_no_session(url, username):
    asked = []
    auth = Auth(url, credentials=lambda: asked.append(1) or (username, PASSWORD))

    assert {get(auth, url).status_code for _ in range(3)} == {200}
    assert asked == [1]


def test_twenty_threads_whose_token_is_stale_refresh_once(server, auth, url, username, path):
    server.manage("grantrole", username, "moderator")

    with ThreadPoolExecutor(20) as pool, httpx.Client(auth=auth) as http:
        answers = list(pool.map(lambda _: http.get(f"{url}/api/test/mod"), range(20)))

    assert {answer.text for answer in answers} == {"Moderator Content."}
    assert events(server, path)["session:refreshed"] == 1
    assert "session:refresh_repeated" not in events(server, path)


def test_twenty_tasks_whose_token_is_about_to_expire_refresh_once(server, auth, url, path):
    ageing(path)
    again = Auth(url, store=FileStore(path))

    async def ask():
        async with httpx.AsyncClient(auth=again, base_url=url) as http:
            return await asyncio.gather(*[http.get("/api/test/user") for _ in range(20)])

    assert {answer.status_code for answer in asyncio.run(ask())} == {200}
    assert events(server, path)["session:refreshed"] == 1
    assert "session:refresh_repeated" not in events(server, path)


def test_twenty_tasks_whose_token_is_stale_refresh_once(server, auth, url, username, path):
    server.manage("grantrole", username, "admin")

    async def ask():
        async with httpx.AsyncClient(auth=auth, base_url=url) as http:
            return await asyncio.gather(*[http.get("/api/test/admin") for _ in range(20)])

    assert {answer.text for answer in asyncio.run(ask())} == {"Admin Content."}
    assert events(server, path)["session:refreshed"] == 1


def test_a_task_that_is_cancelled_leaves_the_session_whole(server, through, between, url, path):
    ageing(path)
    between.troubles = [(503, 1)]
    again = Auth(between.url, store=FileStore(path), services=[url])

    async def ask():
        async with httpx.AsyncClient(auth=again, base_url=url) as http:
            task = asyncio.create_task(http.get("/api/test/user"))
            while not between.tokens:  # noqa: ASYNC110  a thread fills it
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await http.get("/api/test/user")

    assert asyncio.run(ask()).status_code == 200
    assert events(server, path)["session:refreshed"] == 1


def test_the_next_start_goes_on_with_the_session(auth, url, path):
    again = Auth(url, store=FileStore(path))

    assert get(again, url).status_code == 200


def test_the_file_is_its_owner_s_alone_from_the_start(auth, path):
    assert [entry.name for entry in path.parent.iterdir() if entry.suffix != ".lock"] == [path.name]
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_holds_no_session_is_no_session(url, path):
    path.parent.mkdir()
    path.write_text("[]")

    with pytest.raises(AuthError) as caught:
        get(Auth(url, store=FileStore(path)), url)

    assert caught.value.code == "not_signed_in"


def test_a_revoked_session_is_told_and_forgotten(auth, url, path, server):
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


def test_whoever_has_a_password_at_hand_is_signed_in_anew(auth, url, path, server, username):
    server.post("/api/auth/signout", {"refreshToken": FileStore(path).load().refresh_token})
    robot = Auth(url, store=FileStore(path), credentials=lambda: (username, PASSWORD))

    assert get(robot, url).status_code == 200


def test_after_a_sign_out_the_session_is_over_for_every_process(auth, url, path):
    other = Auth(url, store=FileStore(path))
    auth.sign_out()

    with pytest.raises(AuthError) as caught:
        get(other, url)

    assert caught.value.code == "not_signed_in"


def test_a_confirmed_password_counts_as_recent(auth, url, path, username):
    with time_machine.travel(time.time() + 600):
        auth.reauthenticate(PASSWORD)

    answer = httpx.patch(f"{url}/api/auth/me", json={"email": f"{username}@example.org"}, auth=auth)
    assert answer.status_code == 200, answer.text


PROCESS = """
import sys, time, httpx
from authclient import Auth, FileStore

url, path, at = sys.argv[1:]
auth = Auth(url, store=FileStore(path))
time.sleep(max(0, float(at) - time.time()))
print([httpx.get(f"{url}/api/test/user", auth=auth).status_code for _ in range(5)])
"""


def test_processes_that_share_the_file_refresh_once(server, auth, url, path):
    ageing(path)
    start = [sys.executable, "-c", PROCESS, url, str(path), str(time.time() + 3)]
    running = [
        subprocess.Popen(start, env={**os.environ, "PYTHONPATH": str(CLIENT)}, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    assert {process.communicate(timeout=60)[0].strip() for process in running} == {str([200] * 5)}
    assert events(server, path)["session:refreshed"] == 1
    assert "session:refresh_repeated" not in events(server, path)


def test_a_lost_answer_is_asked_for_again_with_the_same_token(server, between, through, url, path):
    ageing(path, seconds=0)
    between.troubles = ["lose"]
    again = Auth(between.url, store=FileStore(path), services=[url])

    assert get(again, url).status_code == 200
    assert len(between.tokens) == 2
    assert len(set(between.tokens)) == 1
    assert events(server, path)["session:refresh_repeated"] == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_when_it_says(between, through, url, path, status):
    ageing(path, seconds=0)
    between.troubles = [(status, 2)]
    again = Auth(between.url, store=FileStore(path), services=[url])
    began = time.monotonic()

    assert get(again, url).status_code == 200
    assert time.monotonic() - began >= 2
    assert len(between.tokens) == 2


def test_a_service_that_wants_to_be_left_alone_is(between, through, url, path):
    ageing(path, seconds=0)
    between.troubles = [(429, 900)]
    again = Auth(between.url, store=FileStore(path), services=[url])

    for _ in range(3):
        with pytest.raises(AuthError) as caught:
            get(again, url)
        assert (caught.value.status, caught.value.retry_after) == (429, 900)

    assert len(between.tokens) == 1
    with time_machine.travel(time.time() + 901):
        assert get(again, url).status_code == 200


def test_a_token_that_is_still_good_serves_while_no_other_is_to_be_had(between, through, url, path):
    ageing(path)
    between.troubles = [(503, 900)]
    again = Auth(between.url, store=FileStore(path), services=[url])

    assert [get(again, url).status_code for _ in range(3)] == [200] * 3
    assert len(between.tokens) == 1


def test_the_token_goes_to_no_other_origin(auth, between):
    seen = []
    transport = httpx.MockTransport(lambda request: seen.append(request.headers) or httpx.Response(200))
    with httpx.Client(auth=auth, transport=transport) as http:
        http.get(between.url)
        http.get("https://evil.example.com/")

    assert [headers.get("authorization") for headers in seen] == [None, None]


def test_a_streamed_body_is_sent_once_and_the_next_request_has_the_new_token(server, auth, url, username):
    server.manage("grantrole", username, "moderator")

    with httpx.Client(auth=auth, base_url=url) as http:
        refused = http.patch("/api/auth/me", content=iter([b'{"fullname": "Alice"}']))
        assert (refused.status_code, refused.json()["code"]) == (401, "token_stale")
        assert http.get("/api/test/mod").status_code == 200


def test_one_store_serves_several_clients(server, url, username):
    store = MemoryStore()
    one, other = Auth(url, store=store), Auth(url, store=store)
    one.sign_in(username, PASSWORD)

    assert get(other, url).status_code == 200


def test_an_error_survives_the_way_between_processes():
    error = AuthError("throttled", "Too many attempts.", status=429, retry_after=7)
    copied = pickle.loads(pickle.dumps(error))

    assert (copied.code, copied.status, copied.retry_after, str(copied)) == (
        "throttled", 429, 7, "Too many attempts. [throttled]",
    )  # fmt: skip


def test_no_token_shows_where_a_session_is_printed(path, auth):
    session = FileStore(path).load()

    assert session.access_token not in repr(session)
    assert session.refresh_token not in repr(session)


def test_what_the_readme_shows_works(server, url, username, tmp_path, monkeypatch):
    shown, refused = re.findall(r"```python\n(.*?)```", (CLIENT / "README.md").read_text(), re.DOTALL)
    script = (shown + refused).replace("http://127.0.0.1:8000", url).replace("~", str(tmp_path))
    script = script.replace('"alice"', repr(username)).replace("correct horse", PASSWORD)

    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(CLIENT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout == "User Content.\n"
