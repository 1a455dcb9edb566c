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


@pytest.fixture
def file(tmp_path, monkeypatch):
    file = tmp_path / "budget.json"
    file.write_text(json.dumps({"Python 3.1, x86_64": ALLOWED}))
    monkeypatch.setattr(budget, "FILE", file)
    return file


def test_a_ratio_beyond_the_budget_fails_the_check(file, capsys):
    budget.write(ALLOWED)

    assert budget.report({"refresh": 2.0}) == 0
    assert budget.report({"refresh": 2.1}) == 1
    assert "refresh: 2.100" in capsys.readouterr().out


def test_another_build_of_python_is_not_compared(file, capsys):
    assert budget.report({"refresh": 4.0}) == 0
    assert "only for Python 3.1, x86_64" in capsys.readouterr().out


def test_each_build_of_python_has_a_budget_of_its_own(file):
    budget.write({"refresh": 1.0})
    budget.write({"refresh": 3.0})

    assert budget.read() == {"Python 3.1, x86_64": ALLOWED, budget.describe_platform(): {"refresh": 3.0}}


def test_the_budgets_name_every_case_that_is_limited():
    assert all(set(ratios) == set(budget.CASES) <= set(CASES) for ratios in budget.read().values())
