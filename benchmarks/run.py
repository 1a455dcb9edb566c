"""Compare this service with other libraries: CPU per request, requests per second and latencies, as medians and ratios.

    python -m benchmarks.run [--database sqlite|postgresql] [--endpoint protected|signin|refresh] [--server granian|gunicorn]
        [--workers N] [--connections N] [--rounds N] [--seconds N] [--only REGEX]

This project is served by `manage.py serve`, the others as their users serve them (`benchmarks.serve`). The targets are measured
in turn, so that a slower minute of the machine concerns all of them. CPU is that of the server and its workers, from the
operating system's accounting: on a shared machine it varies less than requests per second.
"""

import argparse
import contextlib
import json
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.load import Load, measure
from benchmarks.targets import Serving, Target, database_url, targets

FLOORS = {
    "protected": "DRF view, no authentication (floor)",
    "refresh": "one UPDATE in a DRF view (floor)",
    "signin": "Argon2id alone, argon2-cffi (floor)",
}
# What computes only hashes, and the machine for which `benchmarks.hashing` does it. The others hash with argon2-cffi.
HASHES = {FLOORS["signin"]: "other", "Argon2id alone, libsodium": "x86_64"}
# Targets that do the same there as another one.
SAME = {"protected": "$-", "refresh": "LAG=60$", "signin": "LAG=60|ES256|stateless|session token"}
HEADINGS = (
    "",
    "CPU us/request",
    "over the floor",
    "requests/s",
    "over the floor",
    "median ms",
    "p99 over it",
    "database CPU us",
)


def main() -> None:
    """Measure the selected targets and print one table per endpoint."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # so that the servers are stopped as well
    endpoints = options.endpoint or FLOORS
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        selected = [
            target
            for target in targets()
            if re.search(options.only, target.name) and set(endpoints) & set(target.paths) and target.can_be_served
        ]
        for target in selected:
            own = folder / str(target.port)
            own.mkdir()
            environment = target.prepare(
                database_url(options.database, own), own, Serving(options.server, options.workers)
            )
            stack.callback(target.stop)
            target.start(environment, own)
        for endpoint in endpoints:
            chosen = [
                target
                for target in selected
                if endpoint in target.paths and not re.search(SAME[endpoint], target.name)
            ]
            print_table(endpoint, run(endpoint, chosen, options, folder), options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--endpoint", choices=tuple(FLOORS), action="append")
    parser.add_argument("--server", choices=("granian", "gunicorn"), default="granian", help="of the others")
    parser.add_argument("--only", default="", help="a regular expression: measure the targets whose names match")
    for name, default in (("workers", 2), ("connections", 16), ("rounds", 9), ("seconds", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def run(endpoint: str, selected: list[Target], options: argparse.Namespace, folder: Path) -> dict[str, Load]:
    """Measure each target once per round; return the medians."""
    measured: dict[str, list[Load]] = {}
    seconds = options.seconds * (
        2 if endpoint == "signin" else 1
    )  # a hash takes a hundred times as long as a request
    for number in range(options.rounds + 1):
        if endpoint == "signin":
            for name, machine in HASHES.items():
                measured.setdefault(name, []).append(hash_alone(options.workers, seconds, machine))
        for target in selected:
            load = measure(target, endpoint, options.connections, seconds, folder)
            measured.setdefault(target.name, []).append(load)
        if not number:
            measured.clear()  # the first round warms up
    return {name: Load(*map(statistics.median, zip(*loads, strict=True))) for name, loads in measured.items()}


def hash_alone(processes: int, seconds: int, machine: str) -> Load:
    """Verify passwords in so many processes at once, without a server."""
    command = [sys.executable, "-m", "benchmarks.hashing", str(seconds), machine]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    found = [json.loads(process.communicate()[0]) for process in running]
    cpu, rate = statistics.mean(cpu for cpu, _ in found) * 1e6, sum(rate for _, rate in found)
    return Load(cpu, rate, processes / rate * 1e3, processes / rate * 1e3, 0)


def print_table(endpoint: str, medians: dict[str, Load], options: argparse.Namespace) -> None:
    how = f"{options.workers} workers, {options.connections} connections, {options.rounds} rounds of {options.seconds} s"
    print(
        f"\n## {endpoint}, {options.database}, others on {options.server}, Python {platform.python_version()}, {how}\n"
    )
    print(f"| {' | '.join(HEADINGS)} |\n{'| --- ' * len(HEADINGS)}|")
    floor = medians.get(FLOORS[endpoint], next(iter(medians.values())))
    for name, load in medians.items():
        cells = (
            f"{load.cpu:.0f}", f"{load.cpu / floor.cpu:.2f}", f"{load.rate:.0f}", f"{load.rate / floor.rate:.2f}",
            f"{load.median:.2f}", f"{load.p99 / load.median:.1f}", f"{load.database_cpu:.0f}",
        )  # fmt: skip
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
