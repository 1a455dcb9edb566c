"""Measure whether response times reveal which accounts exist (timing side channels).

    python -m benchmarks.timing [--database sqlite|postgresql] [--rounds 400] [--only REGEX] [--imported]

A real server with one worker gets the same request about an existing and about an unknown account, in random order.
Differences are tested with the Mann-Whitney U test and, for the lowest tenth of the times, which has the least noise, with a
bootstrap. After each response, a public page is requested: it would wait if the server did more work after one kind of
response than after the other. The output has medians in milliseconds, the 95 % bootstrap interval of their difference, and p.
With --imported, some accounts have the hash of another Django project, as after `import_users`, and are measured too.
With this many tests, p below 0.001 is a finding and p below 0.05 is not.
"""

import argparse
import http.client
import json
import math
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

from benchmarks.dataset import ROOT, environment, postgresql

PORT = 8130
PASSWORD = "correct horse battery"
_RANDOM = secrets.SystemRandom()
_FILL = """
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from accounts.values.identifiers import comparison_key
from accounts.models import User
from accounts.passwords import equal_cost
hashed = make_password({password!r})
imported = make_password({password!r}, hasher="pbkdf2_sha256")
users = [
    User(username=name, username_key=comparison_key(name), email=f"{{name}}@example.com",
         email_key=comparison_key(f"{{name}}@example.com"),
         password=imported if kind == "imported" else hashed, is_active=kind != "inactive",
         email_verified_at=timezone.now())
    for kind in {kinds} for name in (f"{{kind}}{{number}}" for number in range({count}))
]
User.objects.bulk_create(users)
equal_cost.remember(users)
"""


class Prober:
    """Sends requests over one connection and measures each in milliseconds."""

    def __init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)

    def request(self, method: str, path: str, body: dict[str, str] | None) -> tuple[int, float]:
        started = time.perf_counter()
        self._connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        response.read()
        return response.status, (time.perf_counter() - started) * 1000


Request = tuple[str, dict[str, str]]
"""A path and a JSON body."""


def build_requests(rounds: int, kinds: list[str]) -> dict[str, dict[str, Callable[[int], Request]]]:
    """Return, by endpoint and kind of account, a function from the round's number to a request.

    Each account is used in one round only.
    """

    def sign_in(name: Callable[[int], str]) -> Callable[[int], Request]:
        return lambda n: ("/api/auth/signin", {"username": name(n), "password": "wrong horse battery"})

    def mailed(path: str, address: Callable[[int], str]) -> Callable[[int], Request]:
        return lambda n: (path, {"email": address(n)})

    def sign_up(address: Callable[[int], str]) -> Callable[[int], Request]:
        return lambda n: (
            "/api/auth/signup",
            {"username": f"x{secrets.token_hex(6)}", "email": address(n), "password": PASSWORD},
        )

    def known(n: int) -> str:
        return f"active{n % rounds}@example.com"

    def unknown(n: int) -> str:
        return f"nobody{n}@example.com"

    return {
        "sign-in": {
            "unknown": sign_in(lambda n: f"nobody{n}"),
            **{kind: sign_in(lambda n, kind=kind: f"{kind}{n % rounds}") for kind in kinds},
        },
        "sign-in by address": {
            "unknown": sign_in(unknown),
            "known": sign_in(known),
            "inactive": sign_in(lambda n: f"inactive{n % rounds}@example.com"),
        },
        "reset": {
            "unknown": mailed("/api/auth/password/reset", unknown),
            "known": mailed("/api/auth/password/reset", known),
            "inactive": mailed("/api/auth/password/reset", lambda n: f"inactive{n % rounds}@example.com"),
        },
        "resend": {
            "unknown": mailed("/api/auth/email/verify/resend", unknown),
            "known": mailed("/api/auth/email/verify/resend", known),
        },
        "sign-up": {
            "fresh": sign_up(lambda n: f"fresh{secrets.token_hex(6)}@example.com"),
            "known": sign_up(known),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--only", default="", help="a regular expression: measure the endpoints whose names match")
    parser.add_argument("--imported", action="store_true", help="measure accounts with imported hashes too")
    options = parser.parse_args()
    kinds = ["active", "inactive", *(["imported"] if options.imported else [])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        own = _environment(options.database, folder)
        with (folder / "log").open("wb") as log:
            _manage(own, "migrate", "-v0")
            fill = _FILL.format(password=PASSWORD, count=options.rounds, kinds=kinds)
            _manage(own, "shell", "--no-imports", "-v0", "-c", fill)
            process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"], cwd=ROOT, env=own, stdout=log, stderr=log
            )
            try:
                _wait()
                for endpoint, requests in build_requests(options.rounds, kinds).items():
                    if re.search(options.only, endpoint):
                        _measure(endpoint, requests, options.rounds)
            finally:
                process.terminate()
                process.wait(60)


def _environment(database: str, folder: Path) -> dict[str, str]:
    url = f"sqlite:///{folder / 'db.sqlite3'}"
    if database == "postgresql":
        url = postgresql(folder / "pg").get_uri()
    limits = {"AUTH_ACCOUNT_LIMIT": "1000000/1d", "AUTH_ADDRESS_LIMIT": "1000000/1d"}
    hiding = {"AUTH_HIDE_KNOWN_EMAIL": "true", "AUTH_UNVERIFIED_SIGNIN": "false"}
    return {**environment(url, folder, PORT), **limits, **hiding, "WORKERS": "1"}


def _manage(own: dict[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=own, check=True)


def _wait() -> None:
    for _ in range(300):
        try:
            if Prober().request("GET", "/readyz", None)[0] == http.HTTPStatus.OK:
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("The server does not start.")


def _measure(endpoint: str, requests: dict[str, Callable[[int], Request]], rounds: int) -> None:
    prober = Prober()
    times: dict[str, dict[str, list[float]]] = {"answer": defaultdict(list), "after": defaultdict(list)}
    statuses: dict[str, set[int]] = defaultdict(set)
    for n in range(-20, rounds):  # negative rounds warm up
        for kind in _RANDOM.sample(sorted(requests), len(requests)):
            status, span = prober.request("POST", *requests[kind](n))
            _, after = prober.request("GET", "/api/test/all", None)
            statuses[kind].add(status)
            if n >= 0:
                times["answer"][kind].append(span)
                times["after"][kind].append(after)
    print(f"\n{endpoint}: statuses {dict(statuses)}, {rounds} of each")
    for when, samples in times.items():
        for line in _compared(when, samples):
            print(line, flush=True)


def _compared(when: str, times: dict[str, list[float]]) -> Iterator[str]:
    for one, other in combinations(times, 2):
        first, second = times[one], times[other]
        low, high = _interval(first, second, statistics.median)
        box_low, box_high = _interval(first, second, _lower_tenth)
        yield (
            f"  {when:7} {one:>8} {statistics.median(first):8.3f}  {other:>8} {statistics.median(second):8.3f}"
            f"  median {low:+.3f} … {high:+.3f}  lower tenth {box_low:+.3f} … {box_high:+.3f}"
            f"  p {_mann_whitney(first, second):.4f}"
        )


def _lower_tenth(sample: list[float]) -> float:
    return sorted(sample)[len(sample) // 10]


def _interval(
    first: list[float], second: list[float], measure: Callable[[list[float]], float]
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the difference of `measure` between the samples."""
    differences = sorted(
        measure(_RANDOM.choices(second, k=len(second))) - measure(_RANDOM.choices(first, k=len(first)))
        for _ in range(400)
    )
    return differences[10], differences[-10]


def _mann_whitney(first: list[float], second: list[float]) -> float:
    """Return the two-sided p of the Mann-Whitney U test, by the normal approximation."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    rank_sum = sum(rank for rank, (_, which) in enumerate(ranked, 1) if which == 0)
    n, m = len(first), len(second)
    u = rank_sum - n * (n + 1) / 2
    z = (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return math.erfc(abs(z) / math.sqrt(2))


if __name__ == "__main__":
    main()
