"""Runs the tests on SQLite and on PostgreSQL side by side, and shows one report after the other."""

import os
import subprocess
import sys

DATABASES = ("sqlite", "postgresql")


def main(arguments: list[str]) -> int:
    """Run both; return 0 if both passed."""
    runs = {
        database: subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments],
            env={**os.environ, "TEST_DATABASE": database},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for database in DATABASES
    }
    failed = False
    for database, run in runs.items():
        report, _ = run.communicate()
        print(f"== {database}\n{report}", flush=True)  # noqa: T201  this is what it is for
        failed |= run.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
