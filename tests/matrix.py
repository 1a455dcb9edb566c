"""Run the tests that start no server, on SQLite, with every supported Python and Django version that can be found.

An interpreter is found on PATH as `python3.N`, or among the versions of pyenv. Each combination has a virtual
environment in `.venv/matrix/`, with the pinned requirements except Django's. At the end comes one line for each
combination, with the reason if it was skipped.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.run import split_test_files

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".venv" / "matrix"
PYENV = Path.home() / ".pyenv" / "versions"
DJANGO_BY_PYTHON = {"3.11": ["5.2"], "3.12": ["5.2", "6.0"], "3.13": ["5.2", "6.0"], "3.14": ["5.2", "6.0"]}
"""The combinations that Django supports. Django 6.0 needs Python 3.12."""


class Outcome(NamedTuple):
    """What became of a combination: whether it counts as a failure, and a summary."""

    has_failed: bool
    summary: str


def find_python(version: str) -> str | None:
    """Return the path of an interpreter that runs, or None."""
    candidates = [shutil.which(f"python{version}"), *sorted(map(str, PYENV.glob(f"{version}.*/bin/python")))]
    for path in filter(None, candidates):
        # A shim of pyenv is on PATH even if the version is not active, and then fails.
        if subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def requirements_without_django(text: str) -> str:
    """Return the pinned requirements without Django and without hashes, which pip demands of all or of none."""
    lines = re.sub(r"\s*\\\n\s*--hash=\S+", "", text).splitlines()
    return "".join(f"{line}\n" for line in lines if line[:1].isalpha() and not line.startswith("django=="))


def install(python: str, folder: Path, django: str) -> str:
    """Create the environment if it does not exist, and install the requirements. Return pip's error, or nothing."""
    requirements = folder.with_suffix(".txt")
    requirements.parent.mkdir(parents=True, exist_ok=True)
    requirements.write_text(requirements_without_django((ROOT / "requirements-dev.txt").read_text()))
    if not (folder / "bin" / "python").exists():
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, f"django=={django}.*", "-r", requirements], stderr=subprocess.PIPE, text=True, check=False
    )
    return (done.stderr.strip().splitlines() or ["pip failed"])[-1] if done.returncode else ""


def run(version: str, django: str) -> Outcome:
    """Run the tests with a version of Python and of Django."""
    python = find_python(version)
    if python is None:
        return Outcome(has_failed=False, summary=f"skipped: python{version} is neither on PATH nor in {PYENV}")
    folder = FOLDER / f"python{version}-django{django}"
    if error := install(python, folder, django):
        return Outcome(has_failed=False, summary=f"skipped: the requirements cannot be installed: {error}")
    return run_tests(folder / "bin" / "python")


def run_tests(python: Path) -> Outcome:
    """Run pytest, print its output, and return its last line as the summary."""
    _, files = split_test_files()
    command = [python, "-u", "-m", "pytest", "-p", "no:cacheprovider", "--tb=short", *files]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    return Outcome(has_failed=process.wait() != 0, summary=last)


def outcomes() -> Iterator[tuple[str, Outcome]]:
    """Run all combinations, one after the other; yield each with its outcome."""
    for version, djangos in DJANGO_BY_PYTHON.items():
        for django in djangos:
            name = f"Python {version}, Django {django}"
            print(f"== {name}", flush=True)
            yield name, run(version, django)


def main() -> int:
    """Run the matrix. Return 1 if a test failed or if nothing ran, otherwise 0."""
    results = dict(outcomes())
    print("", *(f"{name}: {outcome.summary}" for name, outcome in results.items()), sep="\n")
    has_run = any(not outcome.summary.startswith("skipped") for outcome in results.values())
    return int(not has_run or any(outcome.has_failed for outcome in results.values()))


if __name__ == "__main__":
    sys.exit(main())
