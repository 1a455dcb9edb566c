"""deploy/Caddyfile: Caddy terminates TLS in front of the service, which learns the client's address and scheme."""

import http.client
import json
import os
import shutil
import ssl
import subprocess

import pytest

from tests.factories import PASSWORD
from tests.servers import ROOT, free_port, wait_until

CADDY = shutil.which("caddy")
CLIENT = "127.0.0.5"
ALICE = {"username": "alice", "password": PASSWORD}

pytestmark = pytest.mark.skipif(CADDY is None, reason="caddy is not installed; CI installs it")


class Proxy:
    """Caddy with the project's Caddyfile, on ports that any user may use and with a certificate of its own."""

    def __init__(self, folder, server, ports):
        self.port, self.http_port, self.health_port = ports
        self._authority = folder / "caddy/pki/authorities/local/root.crt"
        text = (ROOT / "deploy/Caddyfile").read_text()
        options = f"admin off\n\tskip_install_trust\n\thttp_port {self.http_port}\n\thttps_port {self.port}"
        for old, new in (
            ("admin off", options),
            ("auth:8000", f"127.0.0.1:{server.port}"),
            (":2020", f":{self.health_port}"),
        ):
            assert text.count(old) == 1
            text = text.replace(old, new)
        (folder / "Caddyfile").write_text(text)
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [CADDY, "run", "--config", "Caddyfile", "--adapter", "caddyfile"],
                cwd=folder,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(folder),
                    "XDG_DATA_HOME": str(folder),
                    "XDG_CONFIG_HOME": str(folder),
                    "PUBLIC_URL": f"https://localhost:{self.port}",
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._is_ready)

    def _is_ready(self):
        assert self.process.poll() is None
        try:
            return self._authority.exists() and self.exchange("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def exchange(self, method, path, body=None, **headers):
        """Send a request over https as the client at CLIENT; return status, headers and body."""
        connection = http.client.HTTPSConnection(
            "localhost",
            self.port,
            timeout=30,
            source_address=(CLIENT, 0),
            context=ssl.create_default_context(cafile=self._authority),
        )
        return request(connection, method, path, body, headers)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


def request(connection, method, path, body=None, headers=None):
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def proxy(start_server, tmp_path_factory):
    ports = [free_port() for _ in range(3)]
    server = start_server(
        PUBLIC_URL=f"https://localhost:{ports[0]}",
        ALLOWED_HOSTS="localhost",
        AUTH_TRUSTED_PROXIES="127.0.0.1",
        AUTH_METRICS=f"127.0.0.1:{free_port()}",
    )
    running = Proxy(tmp_path_factory.mktemp("proxy"), server, ports)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def access(proxy):
    """Return an access token of alice, who signed in with a forged address."""
    forged = {"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "http"}
    user = {**ALICE, "email": "alice@example.com"}
    assert proxy.exchange("POST", "/api/auth/signup", json.dumps(user), **forged)[0] == 201
    status, _, body = proxy.exchange("POST", "/api/auth/signin", json.dumps(ALICE), **forged)
    assert status == 200, body
    return json.loads(body)["accessToken"]


def test_the_history_has_the_address_of_the_client_and_not_one_that_the_client_claims(proxy, access):
    status, _, body = proxy.exchange("GET", "/api/auth/activity", Authorization=f"Bearer {access}")

    assert status == 200, body
    assert {entry["ipAddress"] for entry in json.loads(body)} == {CLIENT}


def test_requests_over_https_get_secure_responses_and_http_is_redirected(proxy):
    status, headers, _ = proxy.exchange("GET", "/.well-known/jwks.json")
    insecure = http.client.HTTPConnection("127.0.0.1", proxy.http_port, timeout=30)
    redirected, to, _ = request(insecure, "GET", "/", headers={"Host": "localhost"})

    assert (status, "max-age" in headers["Strict-Transport-Security"]) == (200, True)
    assert (redirected, to["Location"].startswith("https://localhost")) == (308, True)


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        ("/api/auth/signin", 2**16, 400),  # read as a whole, and not JSON
        ("/api/auth/signin", 2**16 + 1, 413),
        ("/api/auth/signin", 200_000, 413),
        ("/admin/", 2**16 + 1, 413),  # no session
        ("/admin/login/", 2**16 + 1, 403),  # read, and without a CSRF token
        ("/admin/login/", 2**20 + 1, 413),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_the_proxy_refuses_what_is_too_large_for_the_service_and_nothing_else(
    proxy, path, length, status, chunked
):
    part = b" " * length
    cookies = {"Cookie": "__Host-sessionid=x; sessionid=x"} if path == "/admin/login/" else {}
    got, _, body = proxy.exchange("POST", path, iter([part]) if chunked else part, **cookies)

    assert got == status
    if status == 413:
        assert json.loads(body)["code"] == "payload_too_large"


def test_metrics_cannot_be_reached_through_the_proxy(proxy):
    assert proxy.exchange("GET", "/metrics")[0] == 404


def test_the_health_check_of_the_proxy_needs_no_certificate(proxy):
    assert request(http.client.HTTPConnection("127.0.0.1", proxy.health_port, timeout=30), "GET", "/")[0] == 200
