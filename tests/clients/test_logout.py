"""authclient: logout tokens are verified, and access tokens of ended sessions are refused though they are valid."""

import asyncio
import json
import logging
import shutil
import subprocess
import sys
import threading
import time
import uuid
from types import SimpleNamespace
from urllib.parse import urlencode

import authclient.django.authentication
import authclient.django.logout
import httpx
import jwt
import pytest
import redis
from authclient.django.authentication import AccessTokenAuthentication
from authclient.django.ended_sessions import CacheEndedSessions
from authclient.ended_sessions import FileEndedSessions, MemoryEndedSessions, RedisEndedSessions
from authclient.fastapi import AccessTokenBearer, add_error_handlers, add_logout_endpoint
from authclient.logout import EVENT, LogoutReceiver
from authclient.verifier import EndedSessionsUnavailable, TokenInvalid, TokenRevoked, Verifier
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from django.utils import timezone
from fastapi import Depends, FastAPI
from rest_framework.exceptions import APIException, AuthenticationFailed

from accounts.models import LogoutDelivery
from accounts.sso import logout_tokens
from docs.services.fake_issuer import FakeIssuer
from tests.servers import ROOT, free_port, wait_until


@pytest.fixture(scope="module")
def issuer():
    with FakeIssuer() as running:
        yield running


@pytest.fixture
def store():
    return MemoryEndedSessions()


@pytest.fixture
def receiver(issuer, store):
    return LogoutReceiver(issuer.url, client_id="shop", ended_sessions=store)


@pytest.fixture
def verifier(issuer, store):
    return Verifier(issuer.url, audience="orders", ended_sessions=store)


def form(token):
    return urlencode({"logout_token": token}).encode()


def send(receiver, token):
    return receiver.receive(form(token)).status


def test_an_access_token_of_an_ended_session_is_refused_though_its_signature_is_valid(issuer, receiver, verifier):
    session, other = str(uuid.uuid4()), issuer.token("orders")
    token = issuer.token("orders", sid=session)
    assert verifier.verify(token)

    response = receiver.receive(form(issuer.logout_token("shop", sid=session)))

    assert (response.status, response.body, response.headers) == (200, b"", {"Cache-Control": "no-store"})
    with pytest.raises(TokenRevoked) as refused:
        verifier.verify(token)
    assert (refused.value.status, refused.value.code) == (401, "token_revoked")
    with pytest.raises(TokenRevoked):
        asyncio.run(verifier.verify_async(token))
    assert verifier.verify(other)


def test_a_logout_token_with_a_session_ends_no_other_session_of_the_subject(issuer, receiver, verifier):
    token = issuer.token("orders", sub="7")

    assert send(receiver, issuer.logout_token("shop", sub="7")) == 200
    assert verifier.verify(token)


def test_a_logout_token_without_a_session_ends_those_of_the_subject_that_began_before(issuer, receiver, verifier):
    now = int(time.time())
    old = issuer.token("orders", sub="7", iat=now - 10, nbf=now - 10, auth_time=now - 10)
    at_once = issuer.token("orders", sub="7")
    of_another = issuer.token("orders", sub="8")
    logout = jwt_without(issuer, "sid", sub="7", iat=now)

    assert send(receiver, logout) == 200
    for token in (old, at_once):
        with pytest.raises(TokenRevoked):
            verifier.verify(token)
    assert verifier.verify(of_another)
    assert verifier.verify(issuer.token("orders", sub="7", iat=now + 1))


def test_an_earlier_logout_of_a_subject_that_arrives_later_brings_no_token_back(issuer, receiver, verifier):
    now = int(time.time())
    token = issuer.token("orders", sub="7", iat=now - 5, nbf=now - 5, auth_time=now - 5)
    for issued_at in (now, now - 60):
        assert send(receiver, jwt_without(issuer, "sid", sub="7", iat=issued_at)) == 200

    with pytest.raises(TokenRevoked):
        verifier.verify(token)


def test_a_logout_token_without_a_subject_ends_its_session(issuer, receiver, verifier):
    session = str(uuid.uuid4())

    assert send(receiver, jwt_without(issuer, "sub", sid=session)) == 200
    with pytest.raises(TokenRevoked):
        verifier.verify(issuer.token("orders", sid=session))


def jwt_without(issuer, *names, **claims):
    payload = jwt.decode(issuer.logout_token("shop", **claims), options={"verify_signature": False})
    return issuer._sign({name: value for name, value in payload.items() if name not in names}, "logout+jwt")


def forged(issuer, **claims):
    return issuer.logout_token("shop", **claims)


REFUSED = {
    "another audience": lambda issuer: issuer.logout_token("other"),
    "another issuer": lambda issuer: forged(issuer, iss="https://evil.example"),
    "an expired one": lambda issuer: forged(issuer, exp=int(time.time()) - 1),
    "one of the future": lambda issuer: forged(issuer, iat=int(time.time()) + 60),
    "a nonce": lambda issuer: forged(issuer, nonce="x"),
    "an empty nonce": lambda issuer: forged(issuer, nonce=None),
    "no events": lambda issuer: jwt_without(issuer, "events"),
    "another event": lambda issuer: forged(issuer, events={"http://example.com/event": {}}),
    "an event that is no object": lambda issuer: forged(issuer, events={EVENT: True}),
    "events that are a list": lambda issuer: forged(issuer, events=[EVENT]),
    "neither session nor subject": lambda issuer: jwt_without(issuer, "sub", "sid"),
    "an empty session": lambda issuer: forged(issuer, sid=""),
    "a session that is no text": lambda issuer: forged(issuer, sid=["x"]),
    "a subject that is no text": lambda issuer: forged(issuer, sub=7),
    "a session that is too long": lambda issuer: forged(issuer, sid="x" * 256),
    "no id": lambda issuer: jwt_without(issuer, "jti"),
    "an id that is no text": lambda issuer: forged(issuer, jti=7),
    "no time of issue": lambda issuer: jwt_without(issuer, "iat"),
    "no expiry": lambda issuer: jwt_without(issuer, "exp"),
    "an expiry that is true": lambda issuer: forged(issuer, exp=True),
    "an access token": lambda issuer: issuer.token("shop", events={EVENT: {}}),
    "an ID token": lambda issuer: issuer._sign(
        jwt.decode(issuer.logout_token("shop"), options={"verify_signature": False}), "JWT"
    ),
    "no signature": lambda issuer: issuer.logout_token("shop").rpartition(".")[0] + ".",
    "another signature": lambda issuer: issuer.logout_token("shop").rpartition(".")[0] + "." + "A" * 86,
    "the algorithm none": lambda issuer: jwt.encode(
        jwt.decode(issuer.logout_token("shop"), options={"verify_signature": False}), "", "none",
        headers={"typ": "logout+jwt", "kid": issuer._kid},
    ),
    "an HMAC with the public key": lambda issuer: jwt.encode(
        jwt.decode(issuer.logout_token("shop"), options={"verify_signature": False}), "k" * 32, "HS256",
        headers={"typ": "logout+jwt", "kid": issuer._kid},
    ),
    "garbage": lambda _: "x.y.z",
    "nothing": lambda _: "",
}  # fmt: skip


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_a_logout_token_is_refused_for(make, issuer, receiver, store):
    response = receiver.receive(form(make(issuer)))

    assert response.status == 400
    assert json.loads(response.body)["error"] == "invalid_request"
    assert response.headers["Cache-Control"] == "no-store"
    assert not store._entries


@pytest.mark.parametrize(
    "body",
    [b"", b"logout_token=", b"\xff\xfe", b"x" * 70_000, b"&".join(b"a=%d" % number for number in range(100))],
)
def test_a_body_without_a_logout_token_is_refused(receiver, body):
    assert receiver.receive(body).status == 400


def test_two_logout_tokens_in_one_request_are_refused(issuer, receiver, store):
    tokens = [("logout_token", issuer.logout_token("shop")) for _ in range(2)]

    assert receiver.receive(urlencode(tokens).encode()).status == 400
    assert not store._entries


def test_a_logout_token_is_accepted_once(issuer, receiver):
    token = issuer.logout_token("shop")

    assert [send(receiver, token) for _ in range(2)] == [200, 400]


def test_a_logout_token_is_no_access_token(issuer, verifier):
    with pytest.raises(TokenInvalid):
        verifier.verify(issuer.logout_token("orders"))


def test_an_issuer_that_cannot_be_reached_is_asked_to_try_again(store):
    with FakeIssuer() as stopped:
        token = stopped.logout_token("shop")
    receiver = LogoutReceiver(stopped.url, client_id="shop", ended_sessions=store)

    response = receiver.receive(form(token))

    assert (response.status, response.headers["Retry-After"]) == (503, "5")


class BrokenStore:
    def add(self, *_):
        raise OSError

    find = add


def test_a_store_that_fails_refuses_every_token_and_lets_the_issuer_try_again(issuer):
    receiver = LogoutReceiver(issuer.url, client_id="shop", ended_sessions=BrokenStore())
    verifier = Verifier(issuer.url, audience="orders", ended_sessions=BrokenStore())

    assert send(receiver, issuer.logout_token("shop")) == 503
    with pytest.raises(EndedSessionsUnavailable) as refused:
        verifier.verify(issuer.token("orders"))
    assert (refused.value.status, refused.value.code) == (503, "unavailable")
    with pytest.raises(EndedSessionsUnavailable):
        asyncio.run(verifier.verify_async(issuer.token("orders")))


def test_a_store_that_fails_between_two_entries_does_not_refuse_the_next_attempt(issuer, store, receiver):
    token, add = issuer.logout_token("shop"), store.add
    store.add = BrokenStore().add
    assert send(receiver, token) == 503
    store.add = add

    assert send(receiver, token) == 200


# Stores


def wait_for_redis(port):
    client = redis.Redis(port=port, socket_timeout=5)

    def responds():
        try:
            return client.ping()
        except redis.ConnectionError:
            return False

    wait_until(responds)
    return client


@pytest.fixture
def redis_client(tmp_path):
    command = shutil.which("redis-server")
    if command is None:
        pytest.skip("Redis is not installed")
    port = free_port()
    process = subprocess.Popen(
        [command, "--port", str(port), "--save", "", "--dir", str(tmp_path)], stdout=subprocess.DEVNULL
    )
    yield wait_for_redis(port)
    process.terminate()
    process.wait(timeout=10)


@pytest.fixture(params=["memory", "file", "cache", "redis"])
def any_store(request, tmp_path):
    if request.param == "memory":
        return MemoryEndedSessions()
    if request.param == "file":
        return FileEndedSessions(tmp_path / "folder" / "ended.sqlite3")
    if request.param == "cache":
        return CacheEndedSessions()
    return RedisEndedSessions(request.getfixturevalue("redis_client"))


def test_a_store_returns_what_was_added(any_store):
    any_store.add("a", 1, 60)
    any_store.add("b", 2, 60)
    any_store.add("a", 3, 60)

    assert any_store.find(["a", "b", "c"]) == {"a": 3, "b": 2}
    assert any_store.find(["c"]) == {}


def test_a_session_ends_in_every_store(issuer, any_store):
    receiver = LogoutReceiver(issuer.url, client_id="shop", ended_sessions=any_store)
    verifier = Verifier(issuer.url, audience="orders", ended_sessions=any_store)
    session = str(uuid.uuid4())
    assert asyncio.run(verifier.verify_async(issuer.token("orders", sid=session)))

    assert send(receiver, issuer.logout_token("shop", sid=session)) == 200
    for _ in range(2):
        with pytest.raises(TokenRevoked):
            asyncio.run(verifier.verify_async(issuer.token("orders", sid=session)))


def test_entries_in_memory_expire(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("authclient.ended_sessions.time", SimpleNamespace(monotonic=lambda: now[0]))
    store = MemoryEndedSessions()
    store.add("a", 1, 60)
    now[0] += 60
    assert store.find(["a"]) == {}

    store.add("b", 1, 60)
    assert list(store._entries) == ["b"], "expired entries are deleted"


def test_memory_is_bounded_and_the_operator_is_warned(caplog):
    store = MemoryEndedSessions(max_entries=3)
    for key in "abcd":
        store.add(key, 1, 60)

    assert store.find("abcd") == {"b": 1, "c": 1, "d": 1}
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_entries_in_a_file_expire(tmp_path, clock):
    store = FileEndedSessions(tmp_path / "ended.sqlite3")
    store.add("a", 1, 60)
    clock.advance(seconds=60)

    assert store.find(["a"]) == {}


def test_a_file_is_readable_by_its_owner_only(tmp_path):
    path = tmp_path / "ended.sqlite3"
    FileEndedSessions(path).add("a", 1, 60)

    assert {file.stat().st_mode & 0o077 for file in tmp_path.iterdir()} == {0}


def test_processes_share_a_file(tmp_path):
    path = tmp_path / "ended.sqlite3"
    store = FileEndedSessions(path)
    script = "import sys; from authclient.ended_sessions import FileEndedSessions as Store; {}"
    add = script.format("Store(sys.argv[1]).add(sys.argv[2], 7, 60)")
    processes = [
        subprocess.Popen([sys.executable, "-c", add, path, f"key{number}"], cwd=ROOT / "clients/python")
        for number in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]

    assert store.find([f"key{number}" for number in range(3)]) == {"key0": 7, "key1": 7, "key2": 7}


def test_threads_share_a_file(tmp_path):
    store = FileEndedSessions(tmp_path / "ended.sqlite3")
    threads = [threading.Thread(target=store.add, args=[f"key{number}", number, 60]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(store.find([f"key{number}" for number in range(20)])) == 20


def test_a_file_that_cannot_be_used_is_an_os_error(tmp_path):
    path = tmp_path / "ended.sqlite3"
    store = FileEndedSessions(path)
    for file in tmp_path.iterdir():
        file.unlink()
    path.write_bytes(b"not a database" * 100)

    with pytest.raises(OSError, match=r"ended\.sqlite3"):
        store.find(["a"])
    with pytest.raises(OSError, match=r"."):
        FileEndedSessions(path / "below")


def test_redis_that_cannot_be_reached_is_an_os_error():
    store = RedisEndedSessions(redis.Redis(port=free_port(), socket_timeout=1))

    with pytest.raises(OSError, match="ConnectionError"):
        store.find(["a"])
    with pytest.raises(OSError, match="ConnectionError"):
        store.add("a", 1, 60)


# Frameworks


@pytest.fixture
def service(issuer, settings):
    settings.AUTH_SERVICE = {"issuer": issuer.url, "audience": "orders", "client_id": "shop"}
    yield settings.AUTH_SERVICE
    authclient.django.authentication._create_verifier.cache_clear()
    authclient.django.logout._create_receiver.cache_clear()


def post_to_django(token):
    request = RequestFactory().post("/", form(token), "application/x-www-form-urlencoded")
    return authclient.django.logout.receive(request)


def authenticate_in_django(token):
    request = RequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
    return AccessTokenAuthentication().authenticate(request)


def test_a_django_project_refuses_tokens_of_ended_sessions(issuer, service):
    session = str(uuid.uuid4())
    token = issuer.token("orders", sid=session)
    assert authenticate_in_django(token)

    assert post_to_django(issuer.logout_token("shop", sid=session)).status_code == 200
    with pytest.raises(AuthenticationFailed) as refused:
        authenticate_in_django(token)
    assert refused.value.get_codes() == "token_revoked"


def test_the_django_view_refuses_other_methods_and_other_tokens(issuer, service):
    assert authclient.django.logout.receive(RequestFactory().get("/")).status_code == 405
    response = post_to_django("x")
    assert (response.status_code, json.loads(response.content)["error"]) == (400, "invalid_request")
    assert response["Cache-Control"] == "no-store"
    assert authclient.django.logout.receive.csrf_exempt


def test_a_django_cache_that_fails_refuses_every_token(issuer, service, settings):
    service["ended_sessions"] = "no such alias"
    with pytest.raises(APIException) as refused:
        authenticate_in_django(issuer.token("orders"))
    assert refused.value.status_code == 503


def test_a_django_project_without_a_client_id_reads_no_cache(issuer, service, settings):
    del service["client_id"]
    service["ended_sessions"] = "no such alias"

    assert authenticate_in_django(issuer.token("orders"))
    with pytest.raises(ImproperlyConfigured, match="client_id"):
        post_to_django("x")


def test_a_fastapi_application_refuses_tokens_of_ended_sessions(issuer, receiver, verifier):
    app, session = FastAPI(), str(uuid.uuid4())
    add_error_handlers(app)
    add_logout_endpoint(app, receiver)

    @app.get("/orders", dependencies=[Depends(AccessTokenBearer(verifier))])
    async def orders():
        return {}

    async def exchange():
        transport = httpx.ASGITransport(app)
        headers = {"Authorization": f"Bearer {issuer.token('orders', sid=session)}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://orders") as http:
            yield await http.get("/orders", headers=headers)
            form = {"logout_token": issuer.logout_token("shop", sid=session)}
            yield await http.post("/backchannel-logout", data=form)
            yield await http.get("/orders", headers=headers)
            yield await http.post("/backchannel-logout", data=form)
            yield await http.post("/backchannel-logout", content=b"x" * 200_000)
            yield await http.get("/backchannel-logout")

    async def collect():
        return [response async for response in exchange()]

    responses = asyncio.run(collect())
    assert [response.status_code for response in responses] == [200, 200, 401, 400, 400, 405]
    assert responses[2].json()["code"] == "token_revoked"
    assert responses[1].headers["Cache-Control"] == "no-store"


def test_what_the_service_issues_is_accepted(api, monkeypatch, store):
    """Not a fake issuer's token: both ends agree on every claim."""
    monkeypatch.setattr(
        "authclient.issuer_keys._fetch", lambda _, url: api.get(url.removeprefix("http://localhost:8000")).json()
    )
    receiver = LogoutReceiver("http://localhost:8000", client_id="shop", ended_sessions=store)
    session = uuid.uuid4()
    delivery = LogoutDelivery(client_id="shop", session_id=session, subject="7")

    token = logout_tokens.issue(delivery, at=timezone.now())
    logout = receiver.verify(token)

    assert (logout.session_id, logout.subject) == (str(session), "7")
    assert send(receiver, token) == 200
