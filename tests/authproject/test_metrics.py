"""Test AUTH_METRICS: a running server reports the metrics of all its workers on a port of their own."""

import logging
import os
import platform
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import django
import psutil
import pytest
from django.core.exceptions import ImproperlyConfigured
from environs import Env
from prometheus_client.parser import text_string_to_metric_families

from authproject import metrics
from authproject.environment import read_endpoint
from tests.environment import ON_POSTGRESQL
from tests.factories import PASSWORD
from tests.servers import ROOT, Server, environment, free_port, wait_until

ALICE = {"username": "alice", "password": PASSWORD}


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_setup, django_db_blocker):
    folder = tmp_path_factory.mktemp("metrics")
    endpoint = f"127.0.0.1:{free_port()}"
    settings = environment(folder, django_db_blocker, AUTH_METRICS=endpoint, TMPDIR=str(folder))
    server = Server(settings, folder / "log")
    server.post("/api/auth/signup", {**ALICE, "email": "alice@example.com"})
    yield server
    assert server.stop() == 0
    assert not list(folder.glob("auth-metrics-*"))


def scrape(server):
    """Fetch the metrics; return the value of each sample by its name and label values."""
    with urllib.request.urlopen(f"http://{server.environment['AUTH_METRICS']}/metrics", timeout=30) as page:
        text = page.read().decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def increase_of(server, *sample):
    """Return a function that returns by how much a sample has increased since this call."""
    before = scrape(server).get(sample, 0)
    return lambda: scrape(server).get(sample, 0) - before


def test_security_events_are_counted_across_all_processes(server):
    signed_in = increase_of(server, "auth_events_total", "sign_in:succeeded")
    failed = increase_of(server, "auth_events_total", "sign_in:failed")
    refreshed = increase_of(server, "auth_events_total", "session:refreshed")
    reused = increase_of(server, "auth_events_total", "session:reuse_detected")

    with ThreadPoolExecutor(8) as pool:
        pairs = list(pool.map(lambda _: server.post("/api/auth/signin", ALICE)[1], range(16)))
    for _ in range(3):
        server.post("/api/auth/signin", {**ALICE, "password": "wrong"})
    token = pairs[0]["refreshToken"]
    for _ in range(2):
        token = server.post("/api/auth/refreshtoken", {"refreshToken": token})[1]["refreshToken"]
    assert server.post("/api/auth/refreshtoken", {"refreshToken": pairs[0]["refreshToken"]})[0] == 403

    assert (signed_in(), failed(), refreshed(), reused()) == (16, 3, 2, 1)


def test_events_of_an_application_are_counted_by_its_client_id_too():
    handler = metrics._CountEvents()
    for client_id in ("shop", "shop", "desk"):
        handler.emit(logging.makeLogRecord({"event": "session:refreshed", "application": client_id}))
    handler.emit(logging.makeLogRecord({"event": "session:refreshed"}))

    [family] = metrics.APPLICATION_EVENTS.collect()
    counted = {sample.labels["client_id"]: sample.value for sample in family.samples if "total" in sample.name}
    assert counted == {"shop": 2, "desk": 1}


def test_each_process_reports_its_memory_cpu_time_and_files(server):
    samples = scrape(server)
    pids = {str(server.process.pid), *(str(worker.pid) for worker in server.workers())}

    for name in ("resident_memory_bytes", "cpu_seconds_total", "open_fds", "start_time_seconds"):
        assert pids <= {labels[0] for metric, *labels in samples if metric == f"process_{name}"}
    for pid in pids:
        used = psutil.Process(int(pid)).memory_info().rss
        assert used / 2 < samples["process_resident_memory_bytes", pid] < used * 2


def test_the_version_is_reported_and_is_the_one_of_the_package(server):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert (
        "auth_build_info",
        *sorted([project["version"], django.get_version(), platform.python_version()]),
    ) in scrape(server)


def test_requests_are_counted_and_timed_by_url_name(server):
    counted = increase_of(server, "auth_requests_total", "401", "user-content")
    timed = increase_of(server, "auth_request_seconds_count", "user-content")
    not_found = increase_of(server, "auth_requests_total", "404", "none")

    for _ in range(20):
        server.request("GET", "/api/test/user")
    server.request("GET", "/api/made/up/by/a/stranger")

    assert (counted(), timed(), not_found()) == (20, 20, 1)


def test_a_path_chosen_by_a_client_never_becomes_a_label(server):
    for path in ("/api/x1", "/x2", "/admin/x3"):
        server.request("GET", path)

    assert not [
        sample for sample in scrape(server) if any("x1" in part or "x2" in part or "x3" in part for part in sample)
    ]


def test_the_state_of_the_database_is_reported(server):
    server.request("GET", "/readyz")
    page = scrape(server)

    assert page["auth_database_up",] == 1
    assert page["auth_database_connections_opened_total",] >= 1
    if ON_POSTGRESQL:
        assert sum(value for (name, *_), value in page.items() if name == "auth_database_connections") >= 1


def test_logout_tokens_are_counted_by_outcome_and_those_that_wait_are_reported(server):
    script = """
from datetime import timedelta
from uuid import uuid4
from django.utils import timezone
from accounts.models import Application, LogoutDelivery
uri = "https://127.0.0.1:1/"
Application.objects.create(client_id="shop", name="Shop", backchannel_logout_uri=uri)
at = timezone.now() - timedelta(hours=1)
values = dict(client_id="shop", uri=uri, subject="7", created_at=at)
LogoutDelivery.objects.create(session_id=uuid4(), next_attempt_at=at, **values)
LogoutDelivery.objects.create(session_id=uuid4(), next_attempt_at=at + timedelta(days=1), **values)
"""
    server.manage("shell", "--no-imports", "--command", script)
    page = scrape(server)
    assert page["auth_logout_deliveries_waiting",] == 2
    assert 3600 <= page["auth_logout_deliveries_oldest_seconds",] < 3700
    assert (
        page["auth_logout_deliveries_total", "delivered"] == page["auth_logout_deliveries_total", "abandoned"] == 0
    )

    # The end of a session of the application wakes a worker. Otherwise, workers look for receivers once a minute.
    pair = server.post("/api/auth/signin", ALICE)[1]
    sessions = "from accounts.models import RefreshToken; RefreshToken.objects.update(application='shop')"
    server.manage("shell", "--no-imports", "--command", sessions)
    server.request("POST", "/api/auth/signout", Authorization=f"Bearer {pair['accessToken']}")
    wait_until(lambda: scrape(server)["auth_logout_deliveries_total", "failed"] >= 1)


def test_the_counts_of_a_killed_worker_are_not_lost(server):
    counted = increase_of(server, "auth_requests_total", "200", "public-content")
    for _ in range(10):
        server.request("GET", "/api/test/all")
    workers = psutil.Process(server.process.pid).children()
    os.kill(workers[0].pid, signal.SIGKILL)
    workers[0].wait(timeout=30)
    while len(psutil.Process(server.process.pid).children()) < len(workers):
        time.sleep(0.1)

    assert counted() == 10
    assert server.request("GET", "/api/test/all")[0] == 200


def test_an_empty_file_of_a_killed_worker_does_not_break_a_scrape(server):
    (folder,) = Path(server.environment["TMPDIR"]).glob("auth-metrics-*")
    (folder / "counter_1.db").touch()

    assert scrape(server)["auth_database_up",] == 1


def test_metrics_are_not_served_on_the_public_port(server):
    assert server.request("GET", "/metrics")[0] == 404


def test_events_of_applications_are_counted_by_application():
    script = """
import django
django.setup()
import logging
from authproject import metrics
from accounts.history.events import Event
logging.getLogger("accounts.events").setLevel("INFO")
metrics.MetricsMiddleware(lambda request: None)
for event in (Event.APPLICATION_SIGNED_IN, Event.APPLICATION_SIGNED_IN, Event.CODE_REUSED):
    logging.getLogger("accounts.events").info(event, extra={"event": event.value, "application": "shop"})
print(metrics.APPLICATION_EVENTS.labels(Event.APPLICATION_SIGNED_IN.value, "shop")._value.get())
"""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "authproject.settings"}
    completed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert completed.stdout == "2.0\n"


def test_without_the_setting_the_metrics_library_is_not_imported():
    script = (
        "import sys, authproject.rsgi, api.management.commands.serve; print('prometheus_client' in sys.modules)"
    )
    environment = {**os.environ, "AUTH_METRICS": "", "DJANGO_SETTINGS_MODULE": "authproject.settings"}
    completed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert completed.stdout == "False\n"


def test_a_port_in_use_prevents_the_server_from_starting(server):
    environment = {**server.environment, "PORT": str(free_port())}
    completed = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert completed.returncode != 0
    assert "Address already in use" in completed.stderr


@pytest.mark.parametrize(
    "text", ["9464", "localhost:9464", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999", ":9464"]
)
def test_an_invalid_value_is_refused_with_what_is_allowed(text, monkeypatch):
    monkeypatch.setenv("AUTH_METRICS", text)

    with pytest.raises(
        ImproperlyConfigured, match=r"AUTH_METRICS is .* Allowed: empty, or an IP address and a port"
    ):
        read_endpoint(Env(), "AUTH_METRICS")


@pytest.mark.parametrize(
    ("text", "endpoint"), [("", None), ("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:9464", ("::1", 9464))]
)
def test_a_valid_value_is_parsed(text, endpoint, monkeypatch):
    monkeypatch.setenv("AUTH_METRICS", text)

    assert read_endpoint(Env(), "AUTH_METRICS") == endpoint
