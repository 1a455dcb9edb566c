"""The systems that the benchmarks compare. Each has a server, a database and an account of its own."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

ROOT = Path(__file__).parent.parent
PASSWORD = "correct horse battery"

_MAKE_PEER_USER = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.peers.settings"
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth.models import Group, User
user = User.objects.create_user("alice", "alice@example.com", "correct horse battery")
user.groups.add(Group.objects.create(name="admin"))
"""


@dataclass
class Target:
    """A system to measure: its paths, by endpoint, and the port of its server."""

    name: str
    peer: str
    port: int
    paths: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    process: psutil.Popen | None = None
    database: psutil.Process | None = None
    token: str = ""
    refresh: str = ""

    @property
    def is_ours(self) -> bool:
        return self.peer == ""

    def start(self, database_url: str, folder: Path) -> None:
        """Migrate the database, create a user, start the server, and sign in."""
        self.database = None if database_url.startswith("sqlite") else _find_postmaster(database_url)
        environment = {
            **os.environ, "DATABASE_URL": database_url, "PORT": str(self.port), "WORKERS": "1", "PEER": self.peer,
            "SECRET_KEY": "benchmarks only" * 4, "AUTH_KEYS_DIR": str(folder / "keys"), "AUTH_ADDRESS_LIMIT": "",
            "AUTH_ACCESS_TOKEN_LIFETIME": "36000", **self.settings,
        }  # fmt: skip
        command = (
            [sys.executable, "manage.py", "serve"] if self.is_ours else [sys.executable, "-m", "benchmarks.serve"]
        )
        prepare(self.peer, environment)
        with (folder / "log").open("wb") as log:
            self.process = psutil.Popen(
                ["taskset", "-c", "0", *command], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        self._sign_in()

    def stop(self) -> None:
        """Stop the server."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)

    def cpu(self) -> float:
        """Return the CPU seconds of the server and its workers so far."""
        assert self.process is not None
        return _cpu_of(self.process)

    def database_cpu(self) -> float:
        """Return the CPU seconds of PostgreSQL's processes so far; 0 on SQLite."""
        return 0 if self.database is None else _cpu_of(self.database)

    def memory(self) -> int:
        """Return the resident memory of the largest worker, in bytes."""
        assert self.process is not None
        return max(child.memory_info().rss for child in self.process.children(recursive=True))

    def url(self, endpoint: str) -> str:
        return f"http://127.0.0.1:{self.port}{self.paths[endpoint]}"

    def sign_in_again(self) -> None:
        """Start a new session. A run of refreshes uses up the previous one."""
        self._sign_in()

    def _sign_in(self) -> None:
        body = json.dumps({"username": "alice", "password": PASSWORD}).encode()
        if "signin" not in self.paths:
            self._request_until_ready(self.url(next(iter(self.paths))), None)
            return
        response = json.loads(self._request_until_ready(self.url("signin"), body))
        self.token = response.get("accessToken") or response.get("access") or response.get("token")
        self.refresh = response.get("refreshToken") or response.get("refresh") or ""

    def _request_until_ready(self, url: str, body: bytes | None) -> bytes:
        for _ in range(300):
            try:
                request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=10) as response:
                    return bytes(response.read())
            except OSError as error:
                if hasattr(error, "code"):
                    raise
                time.sleep(0.1)
        raise SystemExit(f"{self.name} does not respond")


def prepare(peer: str, environment: dict[str, str]) -> None:
    """Create the tables of a peer, or of this project if `peer` is empty, and the user."""
    commands = [["-c", _MAKE_PEER_USER]]
    if not peer:
        commands = [["manage.py", "migrate", "-v0"], ["manage.py", "shell", "--no-imports", "-c", _MAKE_OUR_USER]]
    for command in commands:
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)


def _cpu_of(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return sum(sum(member.cpu_times()[:2]) for member in family)


def _find_postmaster(database_url: str) -> psutil.Process:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    return psutil.Process(int(Path(row[0], "postmaster.pid").read_text().split()[0]))


_MAKE_OUR_USER = f"""
from accounts.models import User
if not User.objects.exists():
    User.objects.create_user("alice", "alice@example.com", {PASSWORD!r}, roles=("user", "admin"))
"""

OURS = {"protected": "/api/test/admin", "signin": "/api/auth/signin", "refresh": "/api/auth/refreshtoken"}
OTHERS = {"protected": "/protected", "signin": "/signin"}


def targets() -> list[Target]:
    """Return all targets, on ports from 8100."""
    return [
        Target("plain Django view (floor)", "floors", 8100, {"protected": "/floor/django"}),
        Target("DRF view, no authentication (floor)", "floors", 8101, {"protected": "/floor/drf"}),
        Target("one UPDATE in a DRF view (floor)", "floors", 8108, {"refresh": "/floor/update"}),
        Target("ours, AUTH_REVOCATION_LAG=0", "", 8102, OURS),
        Target("ours, AUTH_REVOCATION_LAG=60", "", 8103, OURS, {"AUTH_REVOCATION_LAG": "60"}),
        Target("simplejwt", "simplejwt", 8104, {**OTHERS, "refresh": "/refresh"}),
        Target("simplejwt, stateless", "simplejwt", 8105, {**OTHERS, "protected": "/protected/stateless"}),
        Target("knox", "knox", 8106, OTHERS),
        Target("DRF TokenAuthentication", "token", 8107, OTHERS),
    ]


def scheme(target: Target) -> str:
    """Return the scheme of the target's Authorization header."""
    return "Bearer" if target.is_ours or target.peer == "simplejwt" else "Token"


def read_rate(output: str) -> tuple[float, int]:
    """Parse wrk's output; return the requests per second and the number of requests.

    Raises SystemExit if a request failed.
    """
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", output)
    if errors:
        raise SystemExit(output)
    rate, total = re.search(r"Requests/sec:\s+([\d.]+)", output), re.search(r"(\d+) requests in", output)
    if rate is None or total is None:
        raise SystemExit(output)
    return float(rate[1]), int(total[1])
