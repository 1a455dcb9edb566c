"""Test that no logout token is lost if processes are killed, and that several processes deliver each of them once."""

import re
import time
import urllib.request
from collections import Counter

import jwt
import pytest

from tests.servers import free_port, wait_until
from tests.sso.receiving import Receiver

REGISTER = """
from accounts.models import Application, RefreshToken
values = dict(name="Shop", backchannel_logout_uri="{url}")
Application.objects.update_or_create(client_id="shop", defaults=values)
RefreshToken.objects.update(application="shop")
"""
OPEN_SESSIONS = """
from datetime import timedelta
from django.utils import timezone
from accounts.models import RefreshToken, User
user, now = User.objects.first(), timezone.now()
later = now + timedelta(days=1)
RefreshToken.objects.bulk_create(
    RefreshToken(
        owner=user, owner_stamp=user.security_stamp, created_at=now, authenticated_at=now, last_used_at=now,
        expires_at=later, session_expires_at=later, secret_digest=bytes(32), application_id="shop",
    )
    for _ in range(100)
)
"""
END_LEASES = """
from django.utils import timezone
from accounts.models import LogoutDelivery
LogoutDelivery.objects.update(next_attempt_at=timezone.now())
"""


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture of conftest.py: these tests use only the database of the server."""


@pytest.fixture
def receiver():
    running = Receiver()
    yield running
    running.close()


def run(server, script):
    server.manage("shell", "--no-imports", "--command", script)


def session_of(pair):
    return jwt.decode(pair["accessToken"], options={"verify_signature": False})["sid"]


def sign_out(server, pair):
    """Sign out, and check that the response does not wait for the delivery."""
    started_at = time.monotonic()
    status, _ = server.request("POST", "/api/auth/signout", Authorization=f"Bearer {pair['accessToken']}")
    assert status == 204
    assert time.monotonic() - started_at < 4  # the deadline of a receiver is 5 seconds


def waiting(server):
    """Return the number of deliveries that wait, as the metrics say."""
    with urllib.request.urlopen(f"http://{server.environment['AUTH_METRICS']}/metrics", timeout=30) as page:
        return float(re.search(r"^auth_logout_deliveries_waiting (\S+)$", page.read().decode(), re.MULTILINE)[1])


@pytest.fixture(scope="module")
def server(start_server):
    return start_server(AUTH_METRICS=f"127.0.0.1:{free_port()}")


def test_a_server_that_is_killed_loses_no_logout_token(server, receiver):
    pairs = [server.sign_in(f"user{number}") for number in range(4)]
    sessions = [session_of(pair) for pair in pairs]
    run(server, REGISTER.format(url=receiver.url))

    # Killed while the receiver has a token and has not responded, and another one waits.
    receiver.hangs.set()
    sign_out(server, pairs[0])
    wait_until(lambda: sessions[0] in receiver.sessions())
    sign_out(server, pairs[1])
    server.kill()
    receiver.hangs.clear()
    server.start()
    # Killed immediately after the response to the sign-out.
    sign_out(server, pairs[2])
    server.kill()
    server.start()
    # Killed while the receiver refuses tokens, so that the next attempt is due later.
    receiver.status = 500
    sign_out(server, pairs[3])
    wait_until(lambda: sessions[3] in receiver.sessions())
    server.kill()
    receiver.status = 200
    run(server, END_LEASES)
    server.start()

    wait_until(lambda: waiting(server) == 0)
    times = Counter(receiver.sessions())
    assert set(times) == set(sessions)
    assert min(times[sessions[0]], times[sessions[3]]) >= 2, "their first attempts failed"


def test_several_processes_deliver_each_logout_token_once(server, receiver):
    server.sign_in("dave")
    run(server, REGISTER.format(url=receiver.url) + OPEN_SESSIONS)

    server.manage("endsessions", "--everyone")

    wait_until(lambda: len(receiver.tokens) > 100 and waiting(server) == 0)
    sessions = receiver.sessions()
    assert len(sessions) == len(set(sessions))


def test_a_process_that_is_no_server_delivers_before_it_ends(server, receiver):
    """With a server of another project, a command may be the only process that runs."""
    server.sign_in("carol")
    run(server, REGISTER.format(url=receiver.url))
    assert server.stop() == 0
    try:
        server.manage("endsessions", "carol")
        assert len(receiver.tokens) == 1
    finally:
        server.start()
