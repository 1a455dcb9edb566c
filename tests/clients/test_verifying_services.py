"""Verifiers of this service's tokens: the examples in docs/services as processes, and other libraries."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from docs.services.fake_issuer import FakeIssuer
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user
from tests.servers import ROOT, Server, environment, free_port, rotate

EXAMPLES = ROOT / "docs/services"
PACKAGE = str(ROOT / "clients/python")
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

    def exchange(self, method="GET", token=None):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return requests.request(method, self.url, headers=headers, timeout=10)

    def get(self, token):
        return self.exchange("GET", token).status_code

    def delete(self, token):
        return requests.delete(self.url, headers={"Authorization": f"Bearer {token}"}, timeout=10).status_code

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture of conftest.py: these tests use only the database of the server."""


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


def start_django(issuer):
    without_database = {"DATABASE_URL": "", "PYTHONPATH": PACKAGE, "DJANGO_SETTINGS_MODULE": ""}
    return Example([sys.executable, "django_service.py"], EXAMPLES, ISSUER=issuer, **without_database)


def start_fastapi(issuer):
    return Example([sys.executable, "fastapi_service.py"], EXAMPLES, ISSUER=issuer, PYTHONPATH=PACKAGE)


START = {"django": start_django, "fastapi": start_fastapi}


@pytest.fixture(scope="module")
def django(issuer):
    running = start_django(issuer)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def fastapi(issuer):
    running = start_fastapi(issuer)
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


@pytest.mark.parametrize("name", ["flask", "django", "fastapi", "node"])
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


def test_after_a_rotation_old_and_new_tokens_are_accepted(server, flask, django, fastapi, node, pair):
    """There is only one rotation, because the libraries fetch keys for another unknown `kid` only after 30 seconds."""
    services = (flask, django, fastapi, node)
    assert [service.get(pair["accessToken"]) for service in services] == [200] * len(services)

    rotate(server)
    renewed = server.post("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]})[1]["accessToken"]

    assert renewed.split(".")[0] != pair["accessToken"].split(".")[0]
    for token in (pair["accessToken"], renewed):
        assert [service.get(token) for service in services] == [200] * len(services)


@pytest.mark.parametrize("name", ["django", "fastapi"])
class TestPackage:
    """The examples that use the package authclient refuse requests as the token service does."""

    def test_a_request_without_a_token_is_refused_with_a_plain_challenge(self, request, name):
        response = request.getfixturevalue(name).exchange()

        assert (response.status_code, response.json()) == (
            401, {"message": "No token provided!", "code": "token_missing"},
        )  # fmt: skip
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'

    @pytest.mark.parametrize("token", ["", "x", "a.b.c"])
    def test_an_invalid_token_is_refused_with_the_error_of_rfc_6750(self, request, name, token):
        response = request.getfixturevalue(name).exchange(token=token)

        assert (response.status_code, response.json()) == (
            401, {"message": "Unauthorized!", "code": "token_invalid"},
        )  # fmt: skip
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="api", error="invalid_token"')

    def test_a_user_without_the_role_is_refused_and_one_with_it_is_not(self, request, name, server, pair):
        service = request.getfixturevalue(name)
        response = service.exchange("DELETE", pair["accessToken"])
        assert (response.status_code, response.json()) == (
            403, {"message": "Require Moderator Role!", "code": "role_required"},
        )  # fmt: skip

        server.manage("grantrole", pair["username"], "moderator")
        renewed = server.post("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]})[1]["accessToken"]
        assert service.exchange("DELETE", renewed).json() == {"deleted": 0}

    def test_an_expired_token_has_a_code_of_its_own(self, request, name, tmp_path):
        with FakeIssuer() as issuer:
            service = START[name](issuer.url)
            try:
                response = service.exchange(token=issuer.token("orders", exp=int(time.time()) - 1))
                accepted = service.exchange(token=issuer.token("orders"))
            finally:
                service.stop()

        assert (response.status_code, response.json()["code"]) == (401, "token_expired")
        assert accepted.status_code == 200

    def test_an_issuer_that_cannot_be_reached_is_no_reason_to_refresh(self, request, name):
        with FakeIssuer() as issuer:
            token = issuer.token("orders")
        service = START[name](issuer.url)
        try:
            response = service.exchange(token=token)
        finally:
            service.stop()

        assert (response.status_code, response.json()["code"]) == (503, "unavailable")
        assert response.headers["Retry-After"] == "5"


def test_a_service_that_introspects_refuses_a_token_immediately_after_a_sign_out(server, flask, pair):
    assert flask.delete(pair["accessToken"]) == 200

    server.post("/api/auth/signout", {"refreshToken": pair["refreshToken"]})

    assert flask.delete(pair["accessToken"]) == 401
    assert flask.get(pair["accessToken"]) == 200  # verifies only the signature and claims


@pytest.fixture
def issue_token(db, override_auth, tmp_path, api):
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


def test_the_lock_file_of_the_node_example_contains_no_registry_urls():
    assert "resolved" not in Path(EXAMPLES / "package-lock.json").read_text()
