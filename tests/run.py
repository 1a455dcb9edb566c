"""Runs the tests on SQLite and on PostgreSQL side by side, and shows one report after the other.

Of each database two runs: the tests that start servers and browsers wait for those for most of their time, and the
others need not wait for them. With arguments, which are pytest's, one run.
"""

import os
import subprocess
import sys
from pathlib import Path

DATABASES = ("sqlite", "postgresql")
SERVER_OR_BROWSER = ("tests.servers", "tests.browsers", "served):")


def split_test_files() -> tuple[list[str], list[str]]:
    """Part the files of tests: those that start servers and browsers, and the others."""
    parts: tuple[list[str], list[str]] = ([], [])
    for file in sorted(Path(__file__).parent.rglob("test_*.py")):
        text = file.read_text()
        parts[not any(name in text for name in SERVER_OR_BROWSER)].append(str(file))
    return parts


def main(arguments: list[str]) -> int:
    """Run all; return 0 if all passed."""
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
        print(f"== {database}\n{report}", flush=True)  # noqa: T201  this is what it is for
        failed |= run.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
