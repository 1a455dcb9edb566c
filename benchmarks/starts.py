"""Measure how long servers take to start and how much memory their workers use, as medians.

    python -m benchmarks.starts [--database sqlite|postgresql] [--server granian|gunicorn] [--rounds N] [--only REGEX]

The start ends with the first response. The memory is that of the largest worker after it: resident (RSS), with a worker's share of
the pages that it shares with others (PSS), and its own pages only (USS).
"""

import argparse
import re
import statistics
import tempfile
from pathlib import Path

from benchmarks import processes
from benchmarks.targets import Serving, Target, database_url, targets

DEFAULT = "^DRF view|ours, AUTH|simplejwt, HS256|allauth, JWT"


def main() -> None:
    """Start each target once per round and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--server", choices=("granian", "gunicorn"), default="granian", help="of the others")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=DEFAULT)
    options = parser.parse_args()
    selected = [target for target in targets() if re.search(options.only, target.name)]
    measured: dict[str, list[tuple[float, ...]]] = {target.name: [] for target in selected}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        prepared = []
        for target in selected:
            own = Path(name) / str(target.port)
            own.mkdir()
            url = database_url(options.database, own)
            prepared.append((target, target.prepare(url, own, Serving(options.server, options.workers)), own))
        for _ in range(options.rounds):
            for target, environment, own in prepared:
                measured[target.name].append(start_once(target, environment, own))
    print(
        f"\n| {options.database}, others on {options.server} | start s | RSS MiB | PSS MiB | USS MiB | workers |"
    )
    print("| --- " * 6 + "|")
    for name, found in measured.items():
        seconds, rss, pss, uss, workers = map(statistics.median, zip(*found, strict=True))
        print(f"| {name} | {seconds:.2f} | {rss:.0f} | {pss:.0f} | {uss:.0f} | {workers:.0f} |")


def start_once(target: Target, environment: dict[str, str], folder: Path) -> tuple[float, ...]:
    """Return the seconds of a start, the memory of a worker in MiB, and the number of workers."""
    try:
        seconds = target.start(environment, folder)
        assert target.process is not None
        memory = processes.memory(target.process)
        return seconds, *(size / 2**20 for size in memory), processes.count_workers(target.process)
    finally:
        target.stop()


if __name__ == "__main__":
    main()
