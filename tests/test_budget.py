"""The budget of instructions: it fails in both directions, says how to change it, and limits what it names."""

import json

import pytest

from benchmarks import budget
from benchmarks.in_process import CASES

ALLOWED = {"refresh": 2.0}


@pytest.mark.parametrize("ratio", [1.95, 2.0, 2.05])
def test_a_ratio_within_three_percent_is_in_the_budget(ratio):
    assert budget.compare({"refresh": ratio}, ALLOWED) == []


@pytest.mark.parametrize(("ratio", "difference"), [(2.1, "5.0% more"), (1.9, "5.0% less")])
def test_a_request_that_became_more_expensive_or_cheaper_needs_another_budget(ratio, difference):
    (complaint,) = budget.compare({"refresh": ratio}, ALLOWED)

    assert difference in complaint
    assert "benchmarks.instructions --update" in complaint


def test_a_ratio_beyond_the_budget_fails_the_check(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(budget, "FILE", tmp_path / "budget.json")
    budget.write(ALLOWED)

    assert budget.report({"refresh": 2.0}) == 0
    assert budget.report({"refresh": 2.1}) == 1
    assert "refresh: 2.100" in capsys.readouterr().out


def test_another_version_of_python_is_not_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(budget, "FILE", tmp_path / "budget.json")
    budget.FILE.write_text(json.dumps({"platform": "Python 3.1, x86_64", "ratios": ALLOWED}))

    assert budget.report({"refresh": 4.0}) == 0
    assert "Skipped: the budget is for Python 3.1, x86_64" in capsys.readouterr().out


def test_the_budget_names_every_case_that_is_limited():
    assert set(json.loads(budget.FILE.read_text())["ratios"]) == set(budget.CASES) <= set(CASES)
