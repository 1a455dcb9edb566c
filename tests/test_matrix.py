"""The matrix of versions: it follows pyproject.toml, and reports what it skipped and why."""

import re
import tomllib

import pytest

from tests import matrix
from tests.matrix import ROOT, Outcome

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PASSED = Outcome(has_failed=False, summary="9 passed")
FAILED = Outcome(has_failed=True, summary="1 failed, 8 passed")
SKIPPED = Outcome(has_failed=False, summary="skipped: python3.14 is not found")


def classified(prefix):
    return {line.removeprefix(prefix) for line in PROJECT["classifiers"] if line.startswith(prefix)}


def test_the_matrix_covers_every_version_that_the_project_claims_to_support():
    assert classified("Programming Language :: Python :: ") <= set(matrix.DJANGO_BY_PYTHON)
    assert classified("Framework :: Django :: ") == set().union(*matrix.DJANGO_BY_PYTHON.values())


def test_the_installed_requirements_are_the_pinned_ones_without_django():
    pinned = (ROOT / "requirements-dev.txt").read_text()
    names = re.findall(r"^([a-z0-9-]+)==", pinned, re.MULTILINE)

    lines = matrix.requirements_without_django(pinned).splitlines()

    assert [line.partition("==")[0] for line in lines] == [name for name in names if name != "django"]
    assert not [line for line in lines if "--hash" in line or "\\" in line]
    assert "async-timeout==5.0.1 ; python_full_version < '3.11.3'" in lines


def test_a_missing_interpreter_is_skipped_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setattr(matrix, "PYENV", tmp_path)

    has_failed, summary = matrix.run("3.99", "6.0")

    assert not has_failed
    assert summary == f"skipped: python3.99 is neither on PATH nor in {tmp_path}"


@pytest.mark.parametrize(
    ("outcome", "exit_code"), [(PASSED, 0), (FAILED, 1), (SKIPPED, 1)], ids=["passed", "failed", "nothing ran"]
)
def test_a_failure_and_a_matrix_of_which_nothing_ran_have_an_exit_code(monkeypatch, capsys, outcome, exit_code):
    monkeypatch.setattr(matrix, "run", lambda version, django: outcome)

    assert matrix.main() == exit_code
    assert f"Python 3.13, Django 6.0: {outcome.summary}" in capsys.readouterr().out


def test_one_skipped_combination_does_not_fail_the_matrix(monkeypatch, capsys):
    monkeypatch.setattr(matrix, "run", lambda version, django: SKIPPED if version == "3.14" else PASSED)

    assert matrix.main() == 0
    assert f"Python 3.14, Django 5.2: {SKIPPED.summary}" in capsys.readouterr().out
