"""Measure how requests and admin pages slow down with ten million sessions in PostgreSQL.

    python -m benchmarks.population fill [--folder F] [--users 1000000] [--sessions 10000000] [--events 3000000]
    python -m benchmarks.population sizes [--folder F]
    python -m benchmarks.population measure [--folder F] [--rounds N] [--core N] [--only REGEX]

`fill` creates two databases of the same shape, `large` and, a thousandth of its size, `small`. Pages of both show the same
number of rows, so the difference is the database's work. It takes about ten minutes. `measure` serves each database with one
worker and sends requests to both in turn. Run it within hours of `fill`, because sessions expire.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import re
import secrets
import statistics
import sys
import time
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

import psutil
import psycopg
from django.conf import settings

from accounts.tokens.refresh_tokens import RefreshSecret, encode
from benchmarks.dataset import ROOT, SECRET_KEY, environment, make_database, manage, pin, populate, postgresql

PASSWORD = "correct horse battery"
SMALLER = 1000
PORTS = {"large": 8110, "small": 8111}
_MAKE_ADMINISTRATOR = f"""
from accounts.models import User
User.objects.create_superuser("administrator", "administrator@example.com", {PASSWORD!r})
"""

# This query scans the whole table, which bypasses PostgreSQL's buffers: the rows are not cached by it.
SAMPLES = """
    SELECT uuid, generation, owner_id, username, host(address) FROM accounts_refreshtoken
    JOIN accounts_user ON accounts_user.id = owner_id AND is_active
    WHERE ended_at IS NULL AND expires_at > now() + interval '1 hour' AND generation < 600
    ORDER BY random() LIMIT 20000
"""
LOGIN = "/admin/login/"
SESSION, USER, HISTORY = "/admin/accounts/refreshtoken/", "/admin/accounts/user/", "/admin/accounts/activity/"
CALLS = {
    "protected, lag 0": "/api/test/user",
    "own sessions": "/api/auth/sessions",
    "own history": "/api/auth/activity",
}
PAGES = {
    "first page": "/admin/",
    "sessions": SESSION,
    "sessions, page 20": SESSION + "?p=20",
    "sessions, live": SESSION + "?state=live",
    "sessions, expired": SESSION + "?state=expired",
    "sessions, revoked": SESSION + "?state=ended",
    "sessions, by a reason": SESSION + "?reason=reused",
    "sessions, by a reason that none has": SESSION + "?reason=deactivated",
    "sessions, expired, by a reason": SESSION + "?state=expired&reason=signed_out",
    "sessions of an owner": SESSION + "?owner__id__exact={owner}",
    "sessions of the owner with most": SESSION + "?owner__id__exact=1",
    "sessions of an owner, live": SESSION + "?owner__id__exact={owner}&state=live",
    "sessions, search: id": SESSION + "?q={id}",
    "sessions, search: address": SESSION + "?q={address}",
    "sessions, search: the address with most": SESSION + "?q=10.0.0.0",
    "sessions, search: username": SESSION + "?q={name}",
    "sessions, search: beginning of many": SESSION + "?q=anna",
    "a session": SESSION + "{id}/change/",
    "users": USER,
    "users, search: username": USER + "?q={name}",
    "users, search: beginning of many": USER + "?q=anna",
    "users, search: nobody": USER + "?q=zzz",
    "users, administrators": USER + "?roles__name__exact=admin",
    "users, inactive": USER + "?is_active__exact=0",
    "users, superusers": USER + "?is_superuser__exact=1",
    "a user": USER + "{owner}/change/",
    "history": HISTORY,
    "history of a user": HISTORY + "?user__id__exact={owner}",
    "history of a user, one event": HISTORY + "?user__id__exact={owner}&event=sign_in%3Afailed",
}
SIZES = """
    SELECT coalesce(i.relname, ''), c.relname, pg_relation_size(c.oid) FROM pg_class c
    LEFT JOIN pg_index ON indexrelid = c.oid LEFT JOIN pg_class i ON i.oid = coalesce(indrelid, c.oid)
    WHERE c.relname ~ '^(accounts_|activity_|session_|user_)' AND c.relkind IN ('r', 'i')
        AND pg_relation_size(c.oid) > 2 ^ 20
    ORDER BY 1, c.relkind DESC, 3 DESC
"""


def fill(folder: Path, users: int, sessions: int, events: int) -> None:
    """Create both databases, replacing existing ones."""
    server = postgresql(folder)
    for name, size in (("large", 1), ("small", SMALLER)):
        make_database(server, name, folder)
        with psycopg.connect(server.get_uri(name), autocommit=True) as connection:
            populate(connection, users // size, sessions // size, events // size)
        manage(server.get_uri(name), folder, "shell", "--no-imports", "-v0", "-c", _MAKE_ADMINISTRATOR)


class Site:
    """The service on one of the databases, with a client signed in to its admin."""

    def __init__(self, name: str, database_url: str, folder: Path) -> None:
        own = environment(database_url, folder, PORTS[name])
        with (folder / f"{name}.log").open("wb") as log:
            self.process = psutil.Popen(
                [sys.executable, "manage.py", "serve"], cwd=ROOT, env=own, stdout=log, stderr=log
            )
        with psycopg.connect(database_url) as connection:
            self.samples = itertools.cycle(connection.execute(SAMPLES).fetchall())
        self.connection = http.client.HTTPConnection("127.0.0.1", PORTS[name])
        self.cookies: dict[str, str] = {}
        self.access_tokens: list[str] = []
        self.unexpected: Counter[int] = Counter()
        self._sign_in()

    def request(self, path: str, body: bytes | None = None, **headers: str) -> tuple[float, bytes]:
        """Send one request; return the response time in seconds and the body."""
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        started = time.perf_counter()
        self.connection.request("GET" if body is None else "POST", path, body, headers)
        response = self.connection.getresponse()
        text = response.read()
        spent = time.perf_counter() - started
        for cookie in response.msg.get_all("Set-Cookie", ()):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        self.unexpected[response.status] += response.status not in {200, 302}
        return spent, text

    def _sign_in(self) -> None:
        for _ in range(300):
            with contextlib.suppress(OSError):
                self.connection.connect()
                break
            time.sleep(0.1)
        _, form = self.request(LOGIN)
        token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', form)[1].decode()
        fields = {
            "csrfmiddlewaretoken": token,
            "username": "administrator",
            "password": PASSWORD,
            "next": "/admin/",
        }
        body = urllib.parse.urlencode(fields).encode()
        self.request(LOGIN, body, **{"Content-Type": "application/x-www-form-urlencoded"})
        assert "sessionid" in self.cookies, "the administrator could not sign in"

    def refresh(self) -> float:
        """Refresh a session for the first time, so that its row is not cached; return the seconds."""
        session_id, generation, *_ = next(self.samples)
        token = RefreshSecret(session_id, generation, sha256(session_id.bytes).digest())
        body = json.dumps({"refreshToken": encode(token)}).encode()
        spent, response = self.request("/api/auth/refreshtoken", body, **{"Content-Type": "application/json"})
        self.access_tokens.append(json.loads(response)["accessToken"])
        return spent

    def call(self, path: str) -> float:
        """Send a request to the API as the owner of a refreshed session; return the seconds."""
        return self.request(path, Authorization=f"Bearer {secrets.choice(self.access_tokens)}")[0]

    def page(self, path: str) -> float:
        """Open an admin page about a session that was not opened before; return the seconds."""
        session_id, _, owner, username, address = next(self.samples)
        return self.request(path.format(id=session_id, owner=owner, name=username, address=address))[0]

    def stop(self) -> None:
        """Stop the server."""
        self.process.terminate()
        self.process.wait(timeout=60)


def measure(folder: Path, rounds: int, core: int, only: str) -> None:
    """Send requests to both sites in turn and print the latencies."""
    server = postgresql(folder)
    pin(core)
    with contextlib.ExitStack() as stack:
        sites = {}
        for name in PORTS:
            sites[name] = Site(name, server.get_uri(name), folder)
            stack.callback(sites[name].stop)
        latencies: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for number in range(rounds + 1):
            for what, share, request in filter(lambda one: re.search(only, one[0]), _requests()):
                for _ in range(share if number else 2):  # the first round warms up the processes, not the database
                    for name, site in sites.items():
                        latencies[what][name].append(request(site))
            if not number:
                latencies.clear()
        print({name: dict(site.unexpected) for name, site in sites.items()}, file=sys.stderr)
    _print_latencies(latencies)


def _requests() -> Iterator[tuple[str, int, Callable[[Site], float]]]:
    yield "refresh", 500, Site.refresh
    for what, path in CALLS.items():
        yield what, 300, partial(Site.call, path=path)
    for what, path in PAGES.items():
        yield f"admin: {what}", 20, partial(Site.page, path=path)


def _print_latencies(latencies: dict[str, dict[str, list[float]]]) -> None:
    print(
        "\n| ms | small p50 | small p99 | large p50 | large p99 | p50 ratio | p99 ratio |\n" + "| --- " * 7 + "|"
    )
    for what, by_site in latencies.items():
        cuts = {name: statistics.quantiles(times, n=100, method="inclusive") for name, times in by_site.items()}
        small, large = cuts["small"], cuts["large"]
        cells = [small[49] * 1e3, small[98] * 1e3, large[49] * 1e3, large[98] * 1e3]
        ratios = [large[49] / small[49], large[98] / small[98]]
        print(f"| {what} | {' | '.join(f'{cell:.2f}' for cell in (*cells, *ratios))} |")


def sizes(folder: Path) -> None:
    """Print the sizes of tables and indexes, and bytes per session."""
    with psycopg.connect(postgresql(folder).get_uri("large")) as connection:
        rows = connection.execute(SIZES).fetchall()
        sessions = connection.execute("SELECT count(*) FROM accounts_refreshtoken").fetchone()[0]
    print("\n| table | relation | MiB | bytes per session |\n| --- | --- | --- | --- |")
    for table, relation, size in rows:
        is_session = table == "accounts_refreshtoken"
        print(f"| {table} | {relation} | {size / 2**20:.0f} | {f'{size / sessions:.1f}' if is_session else ''} |")


def main() -> None:
    """Run `fill`, `sizes` or `measure`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("fill", "sizes", "measure"))
    parser.add_argument("--folder", type=Path, default=Path("/tmp/population"))
    for name, default in (("users", 1_000_000), ("sessions", 10_000_000), ("events", 3_000_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="a regular expression: measure the requests whose names match")
    parser.add_argument("--core", type=int, default=1)
    options = parser.parse_args()
    if options.command == "fill":
        fill(options.folder, options.users, options.sessions, options.events)
    elif options.command == "sizes":
        sizes(options.folder)
    else:
        settings.configure(SECRET_KEY=SECRET_KEY, SECRET_KEY_FALLBACKS=[])  # to encode refresh tokens
        measure(options.folder, options.rounds, options.core, options.only)


if __name__ == "__main__":
    main()
