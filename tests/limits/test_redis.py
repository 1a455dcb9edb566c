"""Counting attempts in a real Redis server, as with `CACHE_URL` set."""

import shutil
import socket
import subprocess
import sys
import time
from collections import Counter

import environs
import pytest
import redis
import trustme

from accounts.errors import Throttled
from accounts.limits import attempts
from accounts.limits.cache_counters import CacheCounters
from accounts.values.clients import Client
from authproject.connection_urls import read_cache_url
from tests.conftest import Api
from tests.factories import PASSWORD, make_user
from tests.servers import free_port
from tests.threads import run_concurrently

pytestmark = [
    pytest.mark.skipif(
        shutil.which("redis-server") is None, reason="redis-server is not installed; CI installs it"
    ),
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]


@pytest.fixture
def cache(settings, tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    _wait_until_reachable(url)
    settings.GUESS_COUNTERS_URL = url
    yield process
    process.terminate()
    process.wait(timeout=10)


@pytest.fixture
def cache_with_certificates(settings, tmp_path):
    """A Redis server that accepts only connections with a certificate of its authority, and no password."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    for name, issued in (("server", authority.issue_cert("127.0.0.1")), ("client", authority.issue_cert("auth"))):
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    port = free_port()
    process = subprocess.Popen(
        [
            "redis-server", "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", "",
            "--dir", str(tmp_path), "--tls-auth-clients", "yes", "--tls-ca-cert-file", "authority.pem",
            "--tls-cert-file", "server.pem", "--tls-key-file", "server.key",
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    trusting = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path}/authority.pem"
    url = f"{trusting}&ssl_certfile={tmp_path}/client.pem&ssl_keyfile={tmp_path}/client.key"
    _wait_until_reachable(url)
    yield {"with": url, "without": trusting}
    process.terminate()
    process.wait(timeout=10)


def test_the_service_can_authenticate_to_the_cache_with_a_certificate(
    settings, monkeypatch, cache_with_certificates, assert_refused
):
    make_user("alice")
    monkeypatch.setenv("CACHE_URL", cache_with_certificates["with"])
    settings.GUESS_COUNTERS_URL = read_cache_url(environs.Env(), "CACHE_URL")
    assert Api().sign_in("alice").status_code == 200

    settings.GUESS_COUNTERS_URL = cache_with_certificates["without"]
    assert_refused(Api().sign_in("alice"), 503, "unavailable")


def _wait_until_reachable(url):
    with redis.Redis.from_url(url) as connection:
        for _ in range(100):
            try:
                connection.ping()
            except redis.ConnectionError:
                time.sleep(0.05)  # a real process: the frozen clock of a test does not apply
            else:
                return
    pytest.fail("Redis did not start")


def test_simultaneous_attempts_are_all_counted(cache):
    make_user("victim")

    responses = run_concurrently(*[lambda: Api().sign_in("victim", "wrong password")] * 30)

    assert Counter(response.status_code for response in responses) == {401: 10, 429: 20}
    assert 0 < int(Api().sign_in("victim")["Retry-After"]) <= 900


def test_successful_sign_ins_are_not_counted(cache):
    make_user("alice")

    assert {Api().sign_in("alice", PASSWORD).status_code for _ in range(15)} == {200}


def test_a_late_uncount_does_not_lower_the_count_of_the_next_window(cache, clock, settings):
    client = Client("192.0.2.1", "")
    attempt = attempts.count_sign_in(client, "1", is_known_network=False)
    clock.advance(minutes=15)
    with redis.Redis.from_url(settings.GUESS_COUNTERS_URL) as connection:
        connection.flushdb()  # simulates the end of the window: Redis uses its own clock

    attempt.uncount()

    for _ in range(10):
        attempts.count_sign_in(client, "1", is_known_network=False)
    with pytest.raises(Throttled):
        attempts.count_sign_in(client, "1", is_known_network=False)


def test_nothing_is_counted_in_the_database(cache, django_assert_max_num_queries):
    make_user("alice")
    Api().sign_in("alice")

    with django_assert_max_num_queries(4):
        assert Api().sign_in("alice").status_code == 200


def test_requests_that_need_an_unreachable_cache_get_503(cache, assert_refused):
    api = Api()
    assert api.get("/readyz").status_code == 200

    cache.terminate()
    cache.wait(timeout=10)

    assert_refused(api.sign_in("alice"), 503, "unavailable")
    assert_refused(api.sign_up("alice"), 503, "unavailable")
    assert_refused(api.get("/readyz"), 503, "unavailable")
    assert api.get("/api/test/all").status_code == 200


def test_the_first_attempts_of_a_process_may_be_counted_at_once(cache, settings, monkeypatch):
    """Each process imports the Redis client with its first attempt."""
    for name in [name for name in sys.modules if name == "redis" or name.startswith("redis.")]:
        monkeypatch.delitem(sys.modules, name)

    def count():
        return CacheCounters(settings.GUESS_COUNTERS_URL).count([("first", 60)])[0].amount

    assert sorted(run_concurrently(*[count] * 8)) == [1, 2, 3, 4, 5, 6, 7, 8]
