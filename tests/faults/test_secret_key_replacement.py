"""Test that SECRET_KEY can be replaced under load on two machines, one after the other, as docs/operations.md says."""

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from tests.servers import Server, environment, free_port, wait_until

CLIENT_COUNT = 4
OLD, NEW = "old-secret-key-" * 4, "new-secret-key-" * 4
ACCEPT = {"SECRET_KEY": OLD, "SECRET_KEY_FALLBACKS": NEW}
ISSUE = {"SECRET_KEY": NEW, "SECRET_KEY_FALLBACKS": OLD}
DROP = {"SECRET_KEY": NEW, "SECRET_KEY_FALLBACKS": ""}


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture of conftest.py: these tests use only the database of the servers."""


@pytest.fixture
def machines(tmp_path, django_db_setup, django_db_blocker):
    shared = environment(tmp_path, django_db_blocker, AUTH_ACCOUNT_LIMIT="", WORKERS="1", SECRET_KEY=OLD)
    running = [Server({**shared, "PORT": str(free_port())}, tmp_path / name) for name in ("first", "second")]
    yield running
    for machine in running:
        assert machine.stop() == 0


class Client:
    """A client that refreshes on alternating machines, and repeats each refresh on the other one."""

    def __init__(self, machines, name):
        self.machines = itertools.cycle(machines)
        self.token = machines[0].sign_in(name)["refreshToken"]
        self.responses = Counter()
        self.refreshes = 0

    def run(self, stop):
        while not stop.is_set():
            successor = self.refresh()
            if self.refresh() != successor:
                self.responses["another successor"] += 1
            self.token, self.refreshes = successor, self.refreshes + 1

    def refresh(self):
        """Return the successor from the next machine that is up, as behind a load balancer."""
        while True:
            try:
                status, body = next(self.machines).post("/api/auth/refreshtoken", {"refreshToken": self.token})
            except OSError:
                continue
            self.responses[status, body.get("code")] += 1
            return body.get("refreshToken")


def wait_for_refreshes(clients):
    before = [client.refreshes for client in clients]
    wait_until(lambda: all(client.refreshes > count + 1 for client, count in zip(clients, before, strict=True)))


def test_no_refresh_is_refused_while_the_secret_key_is_replaced_on_one_machine_after_the_other(machines):
    clients = [Client(machines, f"client{number}") for number in range(CLIENT_COUNT)]
    stop = Event()
    with ThreadPoolExecutor(CLIENT_COUNT) as pool:
        futures = [pool.submit(client.run, stop) for client in clients]
        try:
            for phase, machine in itertools.product((ACCEPT, ISSUE, DROP), machines):
                machine.stop()
                machine.environment |= phase
                machine.start()
                wait_for_refreshes(clients)
        finally:
            stop.set()
        for future in futures:
            future.result()

    assert set(sum((client.responses for client in clients), Counter())) == {(200, None)}
