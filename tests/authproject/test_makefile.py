"""`make serve` on a machine that lacks something says in one sentence what to install."""

import shutil
import subprocess

import pytest

from tests.servers import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make_serve(folder, interpreter):
    """Run `make serve` in a folder of its own, with a shell script as its Python."""
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements.txt").touch()
    python = folder / "python"
    python.write_text(f"#!/bin/sh\n{interpreter}\n")
    python.chmod(0o755)
    return subprocess.run(
        ["make", "--no-print-directory", "serve", f"PYTHON={python}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("interpreter", "message"),
    [
        ('case "$*" in *version_info*) exit 1;; esac', "Python 3.11 or later is needed."),
        ('case "$*" in *ensurepip*) exit 1;; esac', "On Debian and Ubuntu: apt-get install python3-venv"),
        ('case "$*" in *-m\\ venv*) mkdir -p .venv/bin; touch .venv/bin/python; exit 1;; esac', ""),
    ],
    ids=["an old Python", "no ensurepip", "a failing venv"],
)
def test_a_machine_that_cannot_create_an_environment_is_told_why_and_gets_none(tmp_path, interpreter, message):
    done = make_serve(tmp_path, interpreter)

    assert done.returncode != 0
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 2  # the sentence, and that make has stopped
    assert done.stdout == ""
    assert not (tmp_path / ".venv").exists()
