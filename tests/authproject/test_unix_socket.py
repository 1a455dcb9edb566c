"""Test a server that listens on a Unix socket, as behind nginx on the same machine."""

import json
import socket
import stat
import subprocess
import sys
import tempfile
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.servers import ROOT, Server, environment


class UnixServer(Server):
    def exchange(self, method, path, body=None, **headers):
        connection = HTTPConnection("auth.example.com", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(self.environment["HOST"].removeprefix("unix:"))
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_setup, django_db_blocker):
    folder = tmp_path_factory.mktemp("unix")
    with tempfile.TemporaryDirectory(prefix="auth-") as sockets:  # a path of a socket is short
        settings = {"HOST": f"unix:{sockets}/socket", "AUTH_TRUSTED_PROXIES": "unix:"}
        settings |= {"ALLOWED_HOSTS": "auth.example.com", "AUTH_ADDRESS_LIMIT": "2/1h", "WORKERS": "1"}
        server = UnixServer(environment(folder, django_db_blocker, **settings), folder / "log")
        yield server
        assert server.stop() == 0


def test_clients_behind_a_proxy_on_the_socket_have_limits_of_their_own(server):
    def guess(address):
        body = {"username": "nobody", "password": "wrong password"}
        return server.post("/api/auth/signin", body, **{"X-Forwarded-For": address})[0]

    assert [guess("192.0.2.1") for _ in range(3)] == [401, 401, 429]
    assert guess("192.0.2.2") == 401


def test_only_the_group_may_connect(server):
    mode = Path(server.environment["HOST"].removeprefix("unix:")).stat().st_mode

    assert stat.S_IMODE(mode) == 0o660


def test_the_health_check_of_the_container_uses_the_socket(server):
    command = [sys.executable, ROOT / "deploy/healthcheck.py"]

    assert subprocess.run(command, env=server.environment, check=False).returncode == 0


def test_a_server_that_was_killed_starts_again_on_its_socket(server):
    server.kill()
    server.start()

    assert server.request("GET", "/healthz")[0] == 200
