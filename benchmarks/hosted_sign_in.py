"""Measure a sign-in through the hosted pages, step by step, over the API's sign-in.

    python -m benchmarks.hosted_sign_in [--rounds N] [--profile STEP]

Runs in this process, on SQLite, with a password hash that costs nothing. Each round sends a sign-in to the API, and a
browser through all steps to the application's tokens. Prints the queries and the median CPU time of each step. Only
the ratios are comparable between machines.
"""

import argparse
import base64
import cProfile
import hashlib
import io
import json
import os
import pstats
import re
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from benchmarks.in_process import ENVIRON, load_application
from benchmarks.instructions import build_environment
from benchmarks.targets import PASSWORD, USERS, prepare

WARM_UP = 20
API = "POST /api/auth/signin"
CALLBACK = "https://shop.example/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
FORM = "application/x-www-form-urlencoded"
Step = tuple[str, Callable[[], Any]]


class Browser:
    """Calls a WSGI application as a browser does, with its cookies."""

    def __init__(self, application: Any) -> None:
        self._application, self._cookies = application, {}
        self.headers: dict[str, str] = {}
        self.text = ""

    def get(self, url: str) -> None:
        path, _, query = url.partition("?")
        self._send({"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query}, b"")

    def post(self, url: str, body: str, content_type: str = FORM) -> None:
        path, _, query = url.partition("?")
        sent = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "QUERY_STRING": query, "CONTENT_TYPE": content_type}
        self._send(sent, body.encode())

    def _send(self, environ: dict[str, str], body: bytes) -> None:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        sent = {
            **ENVIRON,
            "CONTENT_LENGTH": str(len(body)),
            **({"HTTP_COOKIE": cookies} if cookies else {}),
            **environ,
        }
        parts = self._application({**sent, "wsgi.input": io.BytesIO(body)}, self._start_response)
        self.text = b"".join(parts).decode()
        parts.close()

    def _start_response(self, status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        self.headers = dict(headers)
        for name, value in headers:
            if name == "Set-Cookie":
                key, _, text = value.partition(";")[0].partition("=")
                self._cookies[key] = text
        if not status.startswith(("200", "303")):
            raise SystemExit(f"{status} {headers}")


def steps(browser: Browser) -> Iterator[Step]:
    """Yield the requests of a sign-in through the hosted pages, each of which needs the response to the one before."""
    authorize = "/authorize?" + urlencode({
        "response_type": "code", "client_id": "shop", "redirect_uri": CALLBACK, "scope": "openid profile email",
        "state": "s1", "nonce": "n1", "code_challenge": _challenge(), "code_challenge_method": "S256",
    })  # fmt: skip
    yield "GET /authorize", lambda: browser.get(authorize)
    page = browser.headers["Location"]
    yield "GET /sign-in", lambda: browser.get(page)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.text)[1]
    form = urlencode({"csrfmiddlewaretoken": token, "username": USERS[0], "password": PASSWORD, "remember": "on"})
    yield "POST /sign-in", lambda: browser.post(page, form)
    repeated = browser.headers["Location"]
    yield "GET /authorize, signed in", lambda: browser.get(repeated)
    exchange = urlencode({
        "grant_type": "authorization_code", "client_id": "shop", "redirect_uri": CALLBACK, "code_verifier": VERIFIER,
        "code": parse_qs(urlsplit(browser.headers["Location"]).query)["code"][0],
    })  # fmt: skip
    yield "POST /api/oauth/token", lambda: browser.post("/api/oauth/token", exchange)


def api_sign_in(browser: Browser) -> Iterator[Step]:
    body = json.dumps({"username": USERS[0], "password": PASSWORD})
    yield API, lambda: browser.post("/api/auth/signin", body, "application/json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--profile", default="", help="a regular expression: profile the steps whose names match")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hosted-sign-in-") as name:
        os.environ.update(build_environment("", Path(name)))
        prepare("", dict(os.environ))
        application = load()
        queries, spans = count_queries(application), measure(application, options.rounds)
        print_table(queries, spans)
        if options.profile:
            profile(application, options.rounds, options.profile)


def load() -> Any:
    application = load_application()
    from accounts.models import Application

    Application.objects.create(client_id="shop", name="Shop", redirect_uris=[CALLBACK])
    return application


def measure(application: Any, rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each step in each round."""
    spans: dict[str, list[float]] = defaultdict(list)
    for number in range(WARM_UP + rounds):
        for name, send in _all_steps(application):
            started = time.process_time()
            send()
            if number >= WARM_UP:
                spans[name].append(time.process_time() - started)
    return spans


def count_queries(application: Any) -> dict[str, int]:
    """Return the queries of each step, in a second round: the first one stores the browser as known."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counts = {}
    for _ in range(2):
        for name, send in _all_steps(application):
            with CaptureQueriesContext(connection) as queries:
                send()
            counts[name] = len(queries)
    return counts


def profile(application: Any, rounds: int, pattern: str) -> None:
    profiler = cProfile.Profile()
    for _ in range(rounds):
        for name, send in _all_steps(application):
            profiler.runcall(send) if re.search(pattern, name) else send()
    pstats.Stats(profiler, stream=sys.stdout).sort_stats("cumulative").print_stats(70)


def print_table(queries: dict[str, int], spans: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in spans.items()}
    hosted = [name for name in medians if name != API]
    sums = {
        **{name: [name] for name in medians},
        "all hosted steps": hosted,
        "the steps of a browser that is signed in": hosted[-2:],
    }
    print("| | queries | CPU us | over the API's |\n| --- | --- | --- | --- |")
    for name, parts in sums.items():
        span = sum(medians[part] for part in parts)
        count = sum(queries[part] for part in parts)
        print(f"| {name} | {count} | {span * 1e6:.0f} | {span / medians[API]:.2f} |")


def _all_steps(application: Any) -> Iterator[Step]:
    yield from api_sign_in(Browser(application))
    yield from steps(Browser(application))


def _challenge() -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    main()
