"""Load on one endpoint from wrk: requests per second, latencies, and CPU per request of the server and its database."""

import json
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from benchmarks import processes
from benchmarks.targets import PASSWORD, USERS, Target

# wrk gives each thread a Lua state of its own. With one connection for each thread, each refreshes a session of its own.
_REFRESH = """
local tokens, threads = {%s}, 0
function setup(thread)
  threads = threads + 1
  thread:set("token", tokens[threads])
end
function request()
  return wrk.format("POST", nil, {["Content-Type"] = "application/json"}, '{"%s": "' .. token .. '"}')
end
function response(status, headers, body)
  token = body:match('"refresh[_A-Za-z]*": ?"([^"]+)"') or token
end
"""
_SIGN_IN = """
local bodies, count = {%s}, 0
function request()
  count = count + 1
  return wrk.format("POST", nil, {["Content-Type"] = "application/json"}, bodies[count %% #bodies + 1])
end
"""
_UNITS = {"us": 1e-3, "ms": 1, "s": 1e3}


class Load(NamedTuple):
    """One run: microseconds of CPU per request, requests per second, and latencies in milliseconds."""

    cpu: float
    rate: float
    median: float
    p99: float
    database_cpu: float


def measure(target: Target, endpoint: str, connections: int, seconds: int, folder: Path) -> Load:
    """Send requests over `connections` connections, each of which waits for its response, for `seconds`."""
    command = [
        "wrk",
        "--latency",
        "--timeout=10s",
        f"-d{seconds}s",
        f"-c{connections}",
        *_arguments(target, endpoint, connections, folder),
    ]
    before = processes.cpu(target.process), processes.cpu(target.database)
    done = subprocess.run([*command, target.url(endpoint)], capture_output=True, text=True, check=True)
    spent = processes.cpu(target.process) - before[0], processes.cpu(target.database) - before[1]
    rate, total, median, p99 = read_report(done.stdout, target.name)
    return Load(spent[0] / total * 1e6, rate, median, p99, spent[1] / total * 1e6)


def _arguments(target: Target, endpoint: str, connections: int, folder: Path) -> list[str]:
    script = folder / "load.lua"
    if endpoint == "protected":
        return ["-t1", *(f"-H{name}: {value}" for name, value in target.credentials().items())]
    if endpoint == "signin":
        bodies = [json.dumps({"username": user, "password": PASSWORD}) for user in USERS]
        script.write_text(_SIGN_IN % ", ".join(f"'{body}'" for body in bodies))
        return ["-t1", "-s", str(script)]
    tokens = ", ".join(
        json.dumps(target.sign_in(USERS[number % len(USERS)]).refresh) for number in range(connections)
    )
    script.write_text(_REFRESH % (tokens, target.refresh_field))
    return [f"-t{connections}", "-s", str(script)]


def read_report(report: str, name: str) -> tuple[float, int, float, float]:
    """Parse wrk's report; return the requests per second, their number, and the median and 99th percentile in milliseconds.

    Raises SystemExit if a request failed, or if there was no response.
    """
    rate, total = re.search(r"Requests/sec:\s+([\d.]+)", report), re.search(r"(\d+) requests in", report)
    latencies = {
        percent: float(number) * _UNITS[unit]
        for percent, number, unit in re.findall(r"(\d+)%\s+([\d.]+)([a-z]+)", report)
    }
    if (
        rate is None
        or total is None
        or total[1] == "0"
        or re.search(r"Non-2xx or 3xx responses|Socket errors", report)
    ):
        raise SystemExit(f"{name}:\n{report}")
    return float(rate[1]), int(total[1]), latencies["50"], latencies["99"]
