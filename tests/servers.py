"""A running server of our own: processes, sockets, signals, and a database apart from the tests'."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
from django.db import connection

from accounts.key_schedule import RING
from tests.environment import ON_POSTGRESQL

ROOT = Path(__file__).parent.parent


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A running server, spoken to over HTTP."""

    def __init__(self, environment, log):
        self.port = int(environment["PORT"])
        self.environment = environment
        self.log = log
        self.manage("migrate", "--verbosity", "0")
        with (ROOT / "manage.py").open() as lock:
            # Tests on another database may be at it as well.
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.manage("collectstatic", "--noinput", "--verbosity", "0")
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait()

    def manage(self, *arguments):
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def request(self, method, path, body=None, **headers):
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            sent = json.dumps(body) if isinstance(body, dict) else body
            connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        return answer.status, content

    def post(self, path, body, **headers):
        status, content = self.request("POST", path, body, **headers)
        return status, json.loads(content) if content else None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def _wait(self):
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
    """Make a database, and name it and the rest of what a server needs."""
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
    """Rotate the keys of a server; that the next one was published long ago its schedule is made to say."""
    path = Path(server.environment["AUTH_KEYS_DIR"]) / RING
    schedule = json.loads(path.read_text())
    for slot in schedule["keys"]:
        slot["published_at"] -= 3600
    path.write_text(json.dumps(schedule))
    server.manage("rotate_signing_key", *arguments)
