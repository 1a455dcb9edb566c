"""Run tests on SQLite and PostgreSQL in parallel: show progress, then one report per run.

Without arguments, run the tests that start neither a server nor a browser. With `--all`, run the others too, in
parallel because they spend most of their time waiting. Other arguments are passed to pytest.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DATABASES = ("sqlite", "postgresql")
ALL = "--all"
SERVER_OR_BROWSER = ("tests.servers", "tests.browsers", "start_server):")
SQLITE_ONLY = (
    "authproject",
    "browser",
    "clients",
    "docs",
    "embedded/test_settings.py",
    "keys",
    "passwords",
    "tokens",
    "values",
    "api/test_http.py",
    "api/test_schemathesis.py",
    "faults/test_clients.py",
    "history/test_mail_server.py",
    "management/test_service_commands.py",
    "test_architecture.py",
)
"""Folders and files whose tests do not depend on the database, except for files that contain ON_POSTGRESQL.

On both databases, CI would take longer than it may.
"""

CLIENTS = ("browser", "clients", "docs")
"""Folders whose tests are in a run of their own."""

PROGRAMS = {
    "apache2": "the test of a product that takes OpenID Connect",
    "chromium": "tests in a browser",
    "curl": "tests of the commands in the documentation",
    "npm": "tests of the JavaScript client, the recipes and the React example",
    "promtool": "tests of the alerts",
    "redis-server": "tests of counters in Redis",
}


def split_test_files() -> tuple[list[str], list[str]]:
    """Return the test files that start servers or browsers, and the other test files."""
    parts: tuple[list[str], list[str]] = ([], [])
    for file in sorted(Path(__file__).parent.rglob("test_*.py")):
        text = file.read_text()
        parts[not any(name in text for name in SERVER_OR_BROWSER)].append(str(file))
    return parts


def select_runs(database: str, arguments: list[str]) -> dict[str, list[str]]:
    """Return the arguments for pytest of each run on a database, by the name of the run."""
    parts = split_test_files()
    with_servers, others = ([file for file in part if _runs_on(database, file)] for part in parts)
    if arguments == [ALL]:
        clients = [file for file in with_servers if Path(file).parent.name in CLIENTS]
        servers = [file for file in with_servers if file not in clients]
        return {"servers": servers, "rules": others, "clients": clients}
    return {"tests": arguments or others}


def _runs_on(database: str, file: str) -> bool:
    path = Path(file)
    names = {path.parent.name, path.name, f"{path.parent.name}/{path.name}"}
    return database == "sqlite" or names.isdisjoint(SQLITE_ONLY) or "ON_POSTGRESQL" in path.read_text()


def announce(arguments: list[str]) -> None:
    """Print which tests do not run, and why."""
    if not arguments:
        print("Not run: tests that start servers or browsers. `make check` runs them.")
    for program, tests in PROGRAMS.items():
        if shutil.which(program) is None:
            print(f"Skipped: {tests}, because {program} is not installed.")


def run(database: str, name: str, arguments: list[str]) -> bool:
    """Run pytest and print its progress, and its report at the end. Return whether all tests passed."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pytest", "-rs", *arguments],
        env={**os.environ, "TEST_DATABASE": database},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    report = []
    for line in process.stdout:
        if line.endswith("%]\n"):
            print(f"{database:10} {name:7} {line}", end="", flush=True)
        else:
            report.append(line)
    print(f"== {database}, {name}\n{''.join(report)}", flush=True)
    return process.wait() == 0


def main(arguments: list[str]) -> int:
    """Run the tests; return 0 if all pass."""
    announce(arguments)
    runs = [(name, *selected) for name in DATABASES for selected in select_runs(name, arguments).items()]
    # Four at a time, because more would time out on two cores. The short ones are last, so that all end together.
    runs.sort(key=lambda each: each[0] == "postgresql" and each[1] != "rules")
    with ThreadPoolExecutor(4) as pool:
        return int(not all(list(pool.map(lambda each: run(*each), runs))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
