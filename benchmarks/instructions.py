"""Count the processor's instructions of one request, without a server, with valgrind.

    python -m benchmarks.instructions [--only REGEX] [--requests N] [--runs N]
    python -m benchmarks.instructions --check | --update

Unlike a time, the count is the same on a busy machine. It is the difference of two runs, of N and of 4 N requests from the same
state, divided by 3 N. It covers Python, the libraries in C, and SQLite, on all threads of the process, but neither the kernel,
nor garbage collection, nor the hash of a password.

--check compares this project with benchmarks/budget.json, as CI does. --update writes that file.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import budget
from benchmarks.in_process import CASES
from benchmarks.targets import ROOT, prepare

VALGRIND = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--log-file=/dev/null"]
Counts = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a regular expression: count the cases whose names match")
    parser.add_argument("--requests", type=int, default=25, help="requests of the shorter run")
    parser.add_argument("--runs", type=int, default=1, help="count so many times, to see how much it varies")
    parser.add_argument("--check", action="store_true", help="compare with the budget")
    parser.add_argument("--update", action="store_true", help="write the budget")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("Skipped: instructions are not counted, because valgrind is not installed.")
        return 0
    is_limited = options.check or options.update
    cases = select_cases(budget.CASES if is_limited else [case for case in CASES if re.search(options.only, case)])
    runs = [count(cases, options.requests) for _ in range(options.runs)]
    print_table(runs)
    ratios = {case: runs[0][case] / runs[0][CASES[case].floor] for case in budget.CASES if case in runs[0]}
    if options.update:
        budget.write(ratios)
    return budget.report(ratios) if options.check else 0


def select_cases(names: list[str]) -> list[str]:
    """Return the cases and their floors."""
    return list(dict.fromkeys([*(CASES[name].floor for name in names), *names]))


def count(cases: list[str], requests: int) -> Counts:
    """Return the instructions per request of each case. The projects run side by side, each in a process of its own."""
    peers = {CASES[case].peer for case in cases}
    with ThreadPoolExecutor() as pool:
        parts = pool.map(
            lambda peer: count_in(peer, [case for case in cases if CASES[case].peer == peer], requests), peers
        )
        found = {case: number for part in parts for case, number in part.items()}
    return {case: found[case] for case in cases}


def count_in(peer: str, cases: list[str], requests: int) -> Counts:
    """Return the instructions per request of cases of one project."""
    short, long = requests, 4 * requests
    with tempfile.TemporaryDirectory(prefix="instructions-") as name:
        folder = Path(name)
        environment = build_environment(peer, folder)
        prepare(peer, environment)
        arguments = [str(folder / "db.sqlite3"), f"{short},{long}", *cases]
        command = [
            *VALGRIND,
            f"--cachegrind-out-file={folder}/counts.%p",
            sys.executable,
            "-m",
            "benchmarks.in_process",
        ]
        done = subprocess.run(
            [*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(done.stderr[-4000:])
        totals = {
            (case, number): read_total(folder / f"counts.{pid}")
            for case, number, pid in map(json.loads, done.stdout.splitlines())
        }
    return {case: (totals[case, long] - totals[case, short]) / (long - short) for case in cases}


def build_environment(peer: str, folder: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AUTH_")},
        "DJANGO_SETTINGS_MODULE": "benchmarks.peers.settings" if peer else "authproject.settings", "PEER": peer,
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}", "AUTH_KEYS_DIR": str(folder / "keys"),
        "SECRET_KEY": "benchmarks only" * 4, "AUTH_ADDRESS_LIMIT": "", "PYTHONHASHSEED": "0",
    }  # fmt: skip


def read_total(file: Path) -> int:
    return int(re.search(r"^summary: (\d+)", file.read_text(), re.MULTILINE)[1])


def print_table(runs: list[Counts]) -> None:
    """Print the medians of the runs, the ratio to the floor, and the largest difference between runs."""
    print("| | thousand instructions | over | | varies by |\n| --- | --- | --- | --- | --- |")
    medians = {case: statistics.median(run[case] for run in runs) for case in runs[0]}
    for case, number in medians.items():
        floor = CASES[case].floor
        spread = (max(run[case] for run in runs) - min(run[case] for run in runs)) / number
        print(f"| {case} | {number / 1000:.0f} | {number / medians[floor]:.3f} | {floor} | {spread:.2%} |")


if __name__ == "__main__":
    sys.exit(main())
