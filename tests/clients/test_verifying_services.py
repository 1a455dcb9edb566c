"""Verifiers of this service's tokens: the examples in docs/services as processes, other libraries, and api.stateless."""

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import requests
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from django.core.exceptions import ImproperlyConfigured
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from accounts.keys import rotation as key_rotation
from accounts.keys.key_ring import key_ring
from api.stateless import COOLDOWN, MAX_AGE, MAX_STALE, METADATA, IssuerKeys, IssuerUnavailable
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user
from tests.servers import ROOT, Server, environment, free_port, rotate

JWKS = "/.well-known/jwks.json"
EXAMPLES = ROOT / "docs/services"
NODE = shutil.which("node")


def wait_for(process, url):
    for _ in range(200):
        assert process.poll() is None, "the service has stopped"
        try:
            return requests.get(url, timeout=5)
        except requests.ConnectionError:
            try:
                process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
    return pytest.fail("the service does not respond")


class Example:
    """A running example."""

    def __init__(self, command, folder, **settings):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/orders"
        self.process = subprocess.Popen(command, cwd=folder, env={**os.environ, "PORT": str(port), **settings})
        wait_for(self.process, self.url)

    def get(self, token):
        return requests.get(self.url, headers={"Authorization": f"Bearer {token}"}, timeout=10).status_code

    def delete(self, token):
        return requests.delete(self.url, headers={"Authorization": f"Bearer {token}"}, timeout=10).status_code

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_setup, django_db_blocker):
    folder = tmp_path_factory.mktemp("issuer")
    port = free_port()
    settings = environment(
        folder,
        django_db_blocker,
        PORT=str(port),
        PUBLIC_URL=f"http://localhost:{port}",
        AUTH_AUDIENCE="auth,orders",
    )
    running = Server(settings, folder / "log")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def issuer(server):
    return server.environment["PUBLIC_URL"]


@pytest.fixture(scope="module")
def credentials(server):
    """Register a service as the admin does; return its credentials as environment variables."""
    script = (
        "from accounts.sessions import services; from accounts.models import Service; "
        "service = Service(client_id='orders', audience='orders'); print(services.new_secret(service)); service.save()"
    )
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", script], cwd=ROOT, env=server.environment,
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {"CLIENT_ID": "orders", "CLIENT_SECRET": done.stdout.strip()}


@pytest.fixture(scope="module")
def flask(issuer, credentials):
    running = Example([sys.executable, "flask_service.py"], EXAMPLES, ISSUER=issuer, **credentials)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def django(issuer):
    without_database = {"DATABASE_URL": "", "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": ""}
    running = Example([sys.executable, "django_service.py"], EXAMPLES, ISSUER=issuer, **without_database)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def node(issuer, tmp_path_factory):
    if NODE is None:
        pytest.skip("Node is not installed")
    folder = tmp_path_factory.mktemp("node")
    for name in ("node_service.mjs", "package.json", "package-lock.json"):
        shutil.copy(EXAMPLES / name, folder)
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300)
    running = Example([NODE, "node_service.mjs"], folder, ISSUER=issuer)
    yield running
    running.stop()


@pytest.fixture
def pair(server, request):
    name = f"user{abs(hash(request.node.nodeid))}"
    server.post("/api/auth/signup", {"username": name, "email": f"{name}@example.com", "password": PASSWORD})
    return server.post("/api/auth/signin", {"username": name, "password": PASSWORD})[1]


@pytest.mark.parametrize("name", ["flask", "django", "node"])
class TestExamples:
    """The examples in docs/services."""

    def test_an_access_token_is_accepted(self, request, name, pair):
        service = request.getfixturevalue(name)

        assert service.get(pair["accessToken"]) == 200

    def test_altered_tokens_are_refused(self, request, name, pair):
        service, token = request.getfixturevalue(name), pair["accessToken"]

        for altered in (
            "",
            "x",
            token[:-2],
            token + "x",
            token.replace(".", "..", 1),
            f"{token[:30]}{'B' if token[30] == 'A' else 'A'}{token[31:]}",
        ):
            assert service.get(altered) == 401

    def test_a_token_for_another_service_is_refused(self, request, name, server, pair):
        service = request.getfixturevalue(name)
        body = {"refreshToken": pair["refreshToken"], "audience": "auth"}
        narrow = server.post("/api/auth/refreshtoken", body)[1]

        assert service.get(narrow["accessToken"]) == 401


def test_after_a_rotation_old_and_new_tokens_are_accepted(server, flask, django, node, pair):
    """There is only one rotation, because the libraries fetch keys for another unknown `kid` only after 30 seconds."""
    services = (flask, django, node)
    assert [service.get(pair["accessToken"]) for service in services] == [200] * 3

    rotate(server)
    renewed = server.post("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]})[1]["accessToken"]

    assert renewed.split(".")[0] != pair["accessToken"].split(".")[0]
    for token in (pair["accessToken"], renewed):
        assert [service.get(token) for service in services] == [200] * 3


def test_a_service_that_introspects_refuses_a_token_immediately_after_a_sign_out(server, flask, pair):
    assert flask.delete(pair["accessToken"]) == 200

    server.post("/api/auth/signout", {"refreshToken": pair["refreshToken"]})

    assert flask.delete(pair["accessToken"]) == 401
    assert flask.get(pair["accessToken"]) == 200  # verifies only the signature and claims


@pytest.fixture
def issue_token(override_auth, tmp_path, api):
    """Return a function that issues a token with an algorithm and returns it with the published keys."""

    def issue(algorithm):
        override_auth(algorithm=algorithm, keys_dir=tmp_path)
        token = SignedIn(make_user().username).access_token
        return token, api.get("/.well-known/jwks.json").json()

    return issue


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # RFC 9864 prefers names that include the curve
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_joserfc_accepts_a_token_and_refuses_every_altered_one(issue_token, algorithm):
    token, published = issue_token(algorithm)
    keys = KeySet.import_key_set(published)

    assert joserfc_jwt.decode(token, keys, algorithms=[algorithm]).claims["iss"] == "http://localhost:8000"
    for position in range(0, len(token) - 1, 11):
        altered = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        with pytest.raises((JoseError, ValueError)):
            joserfc_jwt.decode(altered, keys, algorithms=[algorithm])


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_tokens_conform_to_the_profile_of_rfc_9068(issue_token, algorithm):
    token, published = issue_token(algorithm)

    class Validator(JWTBearerTokenValidator):
        def get_jwks(self):
            return KeySet.import_key_set(published)

    validator = Validator(issuer="http://localhost:8000", resource_server="authproject")
    claims = validator.authenticate_token(token)

    validator.validate_token(claims, scopes=[], request=None)
    assert claims.header["typ"] == "at+jwt"


class Issuer:
    """An issuer that counts requests for its metadata, can be unreachable, and can return other documents."""

    def __init__(self, monkeypatch, api):
        self.api = api
        self.fetches = 0
        self.is_reachable = True
        self.documents = {}
        monkeypatch.setattr("api.stateless._fetch", self.fetch)

    def fetch(self, url):
        path = url.removeprefix("http://localhost:8000")
        self.fetches += path == METADATA
        if not self.is_reachable:
            raise TimeoutError
        return self.documents.get(path) or self.api.get(path).json()


class TestStateless:
    """api.stateless.IssuerKeys."""

    @pytest.fixture
    def issuer(self, monkeypatch, api):
        return Issuer(monkeypatch, api)

    @pytest.fixture
    def keys(self, issuer):
        return IssuerKeys("http://localhost:8000")

    @pytest.fixture
    def kid(self):
        return key_ring().signing.kid

    def advance(self, monkeypatch, seconds):
        now = time.monotonic()
        monkeypatch.setattr("api.stateless.time.monotonic", lambda: now + seconds)

    def test_keys_are_fetched_once(self, issuer, keys, kid):
        for _ in range(5):
            assert keys.find(kid).kid == kid

        assert issuer.fetches == 1

    def test_unknown_kids_cause_at_most_one_fetch_per_cooldown(self, issuer, keys, kid, monkeypatch):
        keys.find(kid)
        for number in range(20):
            assert keys.find(f"unknown{number}") is None
        assert issuer.fetches == 1

        self.advance(monkeypatch, COOLDOWN + 1)
        keys.find("unknown")
        assert issuer.fetches == 2

    def test_a_dropped_key_is_refused_after_the_maximum_age(self, issuer, keys, kid, monkeypatch):
        assert keys.find(kid)
        key_rotation.drop(kid)
        self.advance(monkeypatch, MAX_AGE + 1)

        assert keys.find(kid) is None

    def test_known_keys_are_used_while_the_issuer_is_unreachable(self, issuer, keys, kid, monkeypatch):
        keys.find(kid)
        issuer.is_reachable = False
        self.advance(monkeypatch, MAX_AGE + 1)

        assert keys.find(kid)

    def test_an_issuer_that_was_never_reached_is_unavailable(self, issuer, keys, kid):
        issuer.is_reachable = False

        with pytest.raises(IssuerUnavailable):
            keys.find(kid)

    def test_another_issuer_s_metadata_is_refused(self, issuer, keys, kid, override_auth):
        override_auth(issuer="http://localhost:8000/other")

        with pytest.raises(IssuerUnavailable):
            keys.find(kid)

    def test_a_symmetric_key_is_ignored(self, issuer, keys, monkeypatch):
        secret = {"kty": "oct", "k": "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4", "kid": "a", "alg": "HS256", "use": "sig"}
        issuer.documents[JWKS] = {"keys": [secret]}

        assert keys.find("a") is None

    @pytest.mark.parametrize("metadata", [[], None, "x", 3, {"issuer": "http://localhost:8000", "jwks_uri": 5}])
    def test_an_issuer_with_invalid_metadata_is_unavailable(self, issuer, keys, kid, metadata):
        issuer.documents[METADATA] = metadata or [0]

        with pytest.raises(IssuerUnavailable):
            keys.find(kid)

    def test_an_invalid_key_is_ignored_and_the_others_are_used(self, issuer, keys, kid, api):
        valid = api.get(JWKS).json()["keys"]
        issuer.documents[JWKS] = {"keys": [{"kty": "EC", "crv": "P-256", "kid": "bad", "alg": "ES256"}, *valid]}

        assert keys.find(kid)
        assert keys.find("bad") is None

    def test_an_empty_jwks_removes_all_keys(self, issuer, keys, kid, monkeypatch):
        assert keys.find(kid)
        issuer.documents[JWKS] = {"keys": [], "x": 1}
        self.advance(monkeypatch, MAX_AGE + 1)

        assert keys.find(kid) is None

    def test_keys_that_were_not_fetched_for_an_hour_are_not_used(self, issuer, keys, kid, monkeypatch):
        assert keys.find(kid)
        issuer.is_reachable = False
        self.advance(monkeypatch, MAX_STALE + 1)

        with pytest.raises(IssuerUnavailable):
            keys.find(kid)

    def test_an_unreachable_issuer_is_tried_once_per_cooldown(self, issuer, keys, kid):
        issuer.is_reachable = False
        for _ in range(5):
            with pytest.raises(IssuerUnavailable):
                keys.find(kid)

        assert issuer.fetches == 1

    def test_a_slow_fetch_does_not_delay_requests_with_a_known_key(self, issuer, keys, kid, monkeypatch):
        assert keys.find(kid)
        self.advance(monkeypatch, COOLDOWN + 1)
        is_fetching, may_continue = Event(), Event()

        def fetch_slowly(url):
            is_fetching.set()
            may_continue.wait(30)
            raise TimeoutError

        monkeypatch.setattr("api.stateless._fetch", fetch_slowly)
        with ThreadPoolExecutor(1) as pool:
            unknown = pool.submit(keys.find, "unknown")
            assert is_fetching.wait(30)
            assert keys.find(kid).kid == kid
            assert keys.find("another") is None
            may_continue.set()
            assert unknown.result() is None

    @pytest.mark.parametrize("issuer_name", ["", "auth.example.com", "file:///etc/passwd"])
    def test_an_issuer_that_is_not_a_url_is_refused(self, issuer_name):
        with pytest.raises(ImproperlyConfigured, match="Allowed: an https:// URL"):
            IssuerKeys(issuer_name)


def test_the_lock_file_of_the_node_example_contains_no_registry_urls():
    assert "resolved" not in Path(EXAMPLES / "package-lock.json").read_text()
