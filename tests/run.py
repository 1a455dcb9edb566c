"""Run the tests on SQLite and PostgreSQL in parallel, and print one report after the other.

Each database has two runs: tests that start servers or browsers spend most of their time waiting, so the other tests
run in parallel with them. With arguments, which are passed to pytest, each database has one run.
"""

import os
import subprocess
import sys
from pathlib import Path

DATABASES = ("sqlite", "postgresql")
SERVER_OR_BROWSER = ("tests.servers", "tests.browsers", "start_server):")


def split_test_files() -> tuple[list[str], list[str]]:
    """Return the test files that start servers or browsers, and the other test files."""
    parts: tuple[list[str], list[str]] = ([], [])
    for file in sorted(Path(__file__).parent.rglob("test_*.py")):
        text = file.read_text()
        parts[not any(name in text for name in SERVER_OR_BROWSER)].append(str(file))
    return parts


def main(arguments: list[str]) -> int:
    """Run the tests; return 0 if all pass."""
    runs = [
        (
            database,
            subprocess.Popen(
                [sys.executable, "-m", "pytest", *part],
                env={**os.environ, "TEST_DATABASE": database},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ),
        )
        for database in DATABASES
        for part in ([arguments] if arguments else split_test_files())
    ]
    failed = False
    for database, run in runs:
        report, _ = run.communicate()
        print(f"== {database}\n{report}", flush=True)  # noqa: T201  the output of the command
        failed |= run.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
