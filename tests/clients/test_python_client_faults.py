"""clients/python: stores, clocks and responses that fail, and threads and processes in random order.

The seed of the last test is in its name, and repeated with CLIENT_MODEL_SEED. CLIENT_MODEL_SECONDS sets how long it runs.
"""

import json
import os
import random  # noqa: TID251  the order of a test is no secret
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from authclient import Auth, AuthError, FileStore, MemoryStore

from tests.factories import PASSWORD
from tests.servers import ROOT

SECONDS = float(os.environ.get("CLIENT_MODEL_SECONDS", "8"))
SEED = int(os.environ.get("CLIENT_MODEL_SEED", random.randrange(10**6)))


@pytest.fixture(autouse=True)
def _database_transaction():
    """Turn the database of the tests off: the server has its own."""


@pytest.fixture(scope="module")
def server(start_server):
    # Processes on a busy machine must not exceed the grace period.
    return start_server(AUTH_REFRESH_TOKEN_GRACE="60")


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "session.json"


class FakeService:
    """Answers of a service to token requests, each a new generation; `answer` replaces them."""

    def __init__(self):
        self.generation = 0
        self.tokens = []
        self.answer = None
        self.http = httpx.Client(transport=httpx.MockTransport(self._handle))

    def _handle(self, request):
        self.tokens.append(json.loads(request.content).get("refreshToken"))
        if self.answer is not None:
            return self.answer
        if request.url.path.endswith("/signout"):
            return httpx.Response(204)
        self.generation += 1
        return httpx.Response(200, json=pair(self.generation))


def pair(generation):
    return {"accessToken": f"a{generation}", "refreshToken": f"r{generation}", "expiresIn": 900}


@pytest.fixture
def service():
    return FakeService()


def client_of(service, store, **options):
    return Auth("https://auth.example.com", store=store, http=service.http, **options)


def refused_once(auth, times=1):
    """Send requests whose access token is refused; return the tokens that were sent."""
    sent = []

    def handle(request):
        sent.append(request.headers["Authorization"].removeprefix("Bearer "))
        return httpx.Response(401 if len(sent) % 2 else 200)

    with httpx.Client(transport=httpx.MockTransport(handle), auth=auth) as http:
        for _ in range(times):
            http.get("https://auth.example.com/api/test/user")
    return sent


class BrokenStore(MemoryStore):
    """A store whose named methods raise OSError."""

    def __init__(self):
        super().__init__()
        self.broken = set()

    def load(self):
        self._fail("load")
        return super().load()

    def save(self, session):
        self._fail("save")
        super().save(session)

    def lock(self):
        self._fail("lock")
        return super().lock()

    def _fail(self, name):
        if name in self.broken:
            raise OSError(28, "No space left on device")


@pytest.mark.parametrize("broken", [{"save"}, {"load", "save", "lock"}, {"load"}, {"lock"}], ids=str)
@pytest.mark.parametrize("before", [True, False], ids=["from the start", "while it is used"])
def test_a_session_survives_a_store_that_fails(service, broken, before):
    store = BrokenStore()
    if before:
        store.broken = broken
    auth = client_of(service, store)
    auth.sign_in("alice", PASSWORD)
    store.broken = broken

    assert refused_once(auth, times=2) == ["a1", "a2", "a2", "a3"]
    assert service.tokens == [None, "r1", "r2"]
    auth.sign_out()
    assert service.tokens[-1] == "r3"


def test_a_rotated_token_that_cannot_be_stored_leaves_no_old_one(service):
    class FullStore(MemoryStore):
        is_full = False

        def save(self, session):
            if self.is_full and session is not None:
                raise OSError(28, "No space left on device")
            super().save(session)

    store = FullStore()
    auth = client_of(service, store)
    auth.sign_in("alice", PASSWORD)
    store.is_full = True

    refused_once(auth)

    assert store.load() is None
    assert refused_once(auth) == ["a2", "a3"]


@pytest.mark.parametrize(
    "content",
    ["{broken", "{}", "[]", '{"access_token": 1, "refresh_token": null, "renew_at": "x", "expires_at": 0}'],
)
def test_a_broken_session_file_is_no_session(service, path, content):
    path.write_text(content)

    with pytest.raises(AuthError) as caught:
        refused_once(client_of(service, FileStore(path)))

    assert caught.value.code == "not_signed_in"


def test_a_session_file_that_cannot_be_read_or_written_raises_no_other_error(service, tmp_path):
    (tmp_path / "file").write_text("")
    auth = client_of(service, FileStore(tmp_path / "file" / "session.json"))

    auth.sign_in("alice", PASSWORD)

    assert refused_once(auth) == ["a1", "a2"]


HTML = httpx.Response(200, html="<h1>Sign in to the hotel network</h1>")


@pytest.mark.parametrize(
    "answer",
    [
        HTML,
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"message": "Welcome"}),
        httpx.Response(200, json={**pair(9), "accessToken": None}),
        httpx.Response(200, json={**pair(9), "expiresIn": "soon"}),
        httpx.Response(200),
    ],
    ids=["HTML", "a list", "no tokens", "a token that is null", "a lifetime that is no number", "nothing"],
)
def test_a_response_that_is_not_the_service_s_changes_nothing(service, answer):
    auth = client_of(service, MemoryStore())
    auth.sign_in("alice", PASSWORD)
    service.answer = answer

    for call in (lambda: auth.sign_in("bob", PASSWORD), lambda: refused_once(auth)):
        with pytest.raises(AuthError) as caught:
            call()
        assert caught.value.code == "unexpected_answer"

    service.answer = None
    assert refused_once(auth) == ["a1", "a2"]


def test_a_sign_out_that_a_captive_portal_answers_fails(service):
    auth = client_of(service, MemoryStore())
    auth.sign_in("alice", PASSWORD)
    service.answer = HTML

    with pytest.raises(AuthError):
        auth.sign_out()


@pytest.mark.parametrize("body", [b"null", b'{"code": 7, "message": null}', b"<h1>no</h1>", b"", b"{"])
def test_an_error_with_an_odd_body_is_an_auth_error(service, body):
    service.answer = httpx.Response(418, content=body, headers={"Content-Type": "application/json"})

    with pytest.raises(AuthError) as caught:
        client_of(service, MemoryStore()).sign_in("alice", PASSWORD)

    assert (caught.value.code, caught.value.status) == ("http_418", 418)


def test_retry_after_may_be_a_date(service):
    headers = {"Retry-After": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 90))}
    service.answer = httpx.Response(429, json={"code": "throttled", "message": "Wait."}, headers=headers)

    with pytest.raises(AuthError) as caught:
        client_of(service, MemoryStore()).sign_in("alice", PASSWORD)

    assert 80 < caught.value.retry_after <= 90


def test_processes_that_wait_for_a_refresh_share_its_failure(service, path):
    first = client_of(service, FileStore(path))
    first.sign_in("alice", PASSWORD)
    others = [
        client_of(service, FileStore(path)) for _ in range(3)
    ]  # each has a lock of its own, as a process has
    service.answer = httpx.Response(
        503, json={"code": "unavailable", "message": "Wait."}, headers={"Retry-After": "60"}
    )

    def code_of(auth):
        with pytest.raises(AuthError) as caught:
            refused_once(auth)
        return caught.value.code, caught.value.retry_after

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(code_of, [first, *others])) == {("unavailable", 60)}
    assert code_of(client_of(service, FileStore(path))) == ("unavailable", 60)
    assert service.tokens == [None, "r1"]


WORKER = """
import random, sys, time, httpx
from authclient import Auth, AuthError, FileStore

url, path, username, password, seed, end = sys.argv[1:]
chosen = random.Random(seed)
statuses = []
auth = Auth(url, store=FileStore(path), credentials=lambda: (username, password))
while time.time() < float(end):
    if chosen.random() < 0.1:
        auth = Auth(url, store=FileStore(path), credentials=lambda: (username, password))
    action = chosen.choices(["get", "password", "signout"], [8, 2, 1])[0]
    try:
        if action == "get":
            statuses.append(httpx.get(f"{url}/api/test/user", auth=auth, timeout=30).status_code)
        elif action == "password":
            auth.reauthenticate(password)
        else:
            auth.sign_out()
    except AuthError as error:
        statuses.append(error.code)
    except httpx.TransportError:
        statuses.append("transport")  # the request itself, not one for a token
print(*statuses)
"""


@pytest.mark.parametrize("seed", [SEED], ids=[f"seed-{SEED}"])
def test_threads_and_processes_stay_signed_in_whatever_happens(server, url, path, tmp_path, seed):
    """Several processes share a file, and threads a client, while the file is damaged and the server restarts."""
    username = f"model{seed}"
    server.sign_in(username)
    end = time.time() + SECONDS
    arguments = [url, str(path), username, PASSWORD]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients/python")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, *arguments, f"{seed}-{number}", str(end)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    statuses = use_in_threads(server, url, path, username, random.Random(seed), end)
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        statuses += output.split()

    # 401, token_…: the session ended, or roles changed, again while the request was repeated.
    allowed = ("200", "401", "transport", "unreachable", "not_signed_in", "refresh_token_", "token_")
    assert [each for each in map(str, statuses) if not each.startswith(allowed)] == []
    assert "200" in map(str, statuses)
    auth = Auth(url, store=FileStore(path), credentials=lambda: (username, PASSWORD))
    assert httpx.get(f"{url}/api/test/user", auth=auth, timeout=30).status_code == 200
    assert len(json.loads(path.read_text())) == 4


def use_in_threads(server, url, path, username, chosen, end):
    """Send requests from threads that share a client, and cause faults; return the status or code of each."""
    auth = Auth(url, store=FileStore(path), credentials=lambda: (username, PASSWORD))
    statuses = []

    def send_requests():
        while time.time() < end:
            statuses.append(send(url, auth))

    threads = [threading.Thread(target=send_requests) for _ in range(3)]
    for thread in threads:
        thread.start()
    faults = ["stale", "damage", "delete", "restart"]
    while time.time() < end:
        fault = chosen.choice(faults)
        if fault == "restart":
            faults.remove("restart")
        cause(fault, server, path, username, chosen)
        time.sleep(0.2)
    for thread in threads:
        thread.join(timeout=60)
    return statuses


def send(url, auth):
    try:
        return httpx.get(f"{url}/api/test/user", auth=auth, timeout=30).status_code
    except AuthError as error:
        return error.code
    except httpx.TransportError:
        return "transport"  # the request itself, not one for a token


def cause(fault, server, path, username, chosen):
    if fault == "stale":
        server.manage("grantrole", username, chosen.choice(["moderator", "admin"]))
    elif fault == "damage":
        path.write_text(chosen.choice(["{broken", "{}", "null"]))
    elif fault == "delete":
        path.unlink(missing_ok=True)
    else:
        assert server.stop() == 0
        server.start()
