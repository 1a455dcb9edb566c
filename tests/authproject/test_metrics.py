"""AUTH_METRICS: what all workers of a running server count, on a port of its own; and nothing at all without it."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from django.core.exceptions import ImproperlyConfigured
from environs import Env
from prometheus_client.parser import text_string_to_metric_families

from authproject.environment import read_endpoint
from tests.environment import ON_POSTGRESQL
from tests.factories import PASSWORD
from tests.servers import ROOT, Server, environment, free_port

ALICE = {"username": "alice", "password": PASSWORD}


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_setup, django_db_blocker):
    folder = tmp_path_factory.mktemp("metrics")
    metrics = f"127.0.0.1:{free_port()}"
    own = environment(folder, django_db_blocker, AUTH_METRICS=metrics, TMPDIR=str(folder))
    running = Server(own, folder / "log")
    running.post("/api/auth/signup", {**ALICE, "email": "alice@example.com"})
    yield running
    assert running.stop() == 0
    assert not list(folder.glob("auth-metrics-*"))


def look(server):
    """Read the page, as what each sample is worth."""
    with urllib.request.urlopen(f"http://{server.environment['AUTH_METRICS']}/metrics", timeout=30) as page:
        text = page.read().decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def grown(server, *sample):
    """Return a function that tells by how much a sample has grown since now."""
    before = look(server).get(sample, 0)
    return lambda: look(server).get(sample, 0) - before


def test_what_happens_to_accounts_is_counted_over_all_processes(server):
    signed_in = grown(server, "auth_events_total", "sign_in:succeeded")
    failed = grown(server, "auth_events_total", "sign_in:failed")
    refreshed = grown(server, "auth_events_total", "session:refreshed")
    reused = grown(server, "auth_events_total", "session:reuse_detected")

    with ThreadPoolExecutor(8) as pool:
        pairs = list(pool.map(lambda _: server.post("/api/auth/signin", ALICE)[1], range(16)))
    for _ in range(3):
        server.post("/api/auth/signin", {**ALICE, "password": "wrong"})
    token = pairs[0]["refreshToken"]
    for _ in range(2):
        token = server.post("/api/auth/refreshtoken", {"refreshToken": token})[1]["refreshToken"]
    assert server.post("/api/auth/refreshtoken", {"refreshToken": pairs[0]["refreshToken"]})[0] == 403

    assert (signed_in(), failed(), refreshed(), reused()) == (16, 3, 2, 1)


def test_requests_are_counted_and_timed_by_the_name_of_their_path(server):
    counted = grown(server, "auth_requests_total", "401", "user-content")
    timed = grown(server, "auth_request_seconds_count", "user-content")
    nowhere = grown(server, "auth_requests_total", "404", "none")

    for _ in range(20):
        server.request("GET", "/api/test/user")
    server.request("GET", "/api/made/up/by/a/stranger")

    assert (counted(), timed(), nowhere()) == (20, 20, 1)


def test_no_name_that_a_client_invents_becomes_a_label(server):
    for path in ("/api/x1", "/x2", "/admin/x3"):
        server.request("GET", path)

    assert not [
        sample for sample in look(server) if any("x1" in part or "x2" in part or "x3" in part for part in sample)
    ]


def test_the_database_is_told_of(server):
    server.request("GET", "/readyz")
    page = look(server)

    assert page["auth_database_up",] == 1
    assert page["auth_database_connections_opened_total",] >= 1
    if ON_POSTGRESQL:
        assert sum(value for (name, *_), value in page.items() if name == "auth_database_connections") >= 1


def test_a_worker_that_dies_takes_nothing_along(server):
    counted = grown(server, "auth_requests_total", "200", "public-content")
    for _ in range(10):
        server.request("GET", "/api/test/all")
    workers = psutil.Process(server.process.pid).children()
    os.kill(workers[0].pid, signal.SIGKILL)
    workers[0].wait(timeout=30)
    while len(psutil.Process(server.process.pid).children()) < len(workers):
        time.sleep(0.1)

    assert counted() == 10
    assert server.request("GET", "/api/test/all")[0] == 200


def test_a_worker_that_dies_before_it_has_counted_anything_breaks_nothing(server):
    (folder,) = Path(server.environment["TMPDIR"]).glob("auth-metrics-*")
    (folder / "counter_1.db").touch()

    assert look(server)["auth_database_up",] == 1


def test_nothing_is_shown_where_clients_come(server):
    assert server.request("GET", "/metrics")[0] == 404


def test_without_the_setting_the_library_is_not_even_loaded():
    script = (
        "import sys, authproject.rsgi, api.management.commands.serve; print('prometheus_client' in sys.modules)"
    )
    environment = {**os.environ, "AUTH_METRICS": "", "DJANGO_SETTINGS_MODULE": "authproject.settings"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout == "False\n"


def test_a_port_that_is_taken_stops_the_start(server):
    taken = {**server.environment, "PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env=taken,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode != 0
    assert "Address already in use" in done.stderr


@pytest.mark.parametrize(
    "text", ["9464", "localhost:9464", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999", ":9464"]
)
def test_a_wrong_setting_is_told(text, monkeypatch):
    monkeypatch.setenv("AUTH_METRICS", text)

    with pytest.raises(
        ImproperlyConfigured, match=r"AUTH_METRICS is .* Allowed: empty, or an IP address and a port"
    ):
        read_endpoint(Env(), "AUTH_METRICS")


@pytest.mark.parametrize(
    ("text", "read"), [("", None), ("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:9464", ("::1", 9464))]
)
def test_a_right_setting_is_read(text, read, monkeypatch):
    monkeypatch.setenv("AUTH_METRICS", text)

    assert read_endpoint(Env(), "AUTH_METRICS") == read
