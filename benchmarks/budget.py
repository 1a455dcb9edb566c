"""The budget of a request: how many instructions it may take, as a ratio to a minimal view counted in the same run.

A ratio, because the number itself grows with Django. It still depends on how Python was built: with a build that optimizes more,
the signature of a token weighs more. So each build has a budget of its own, and one without a budget is not compared.
"""

import json
import platform
from pathlib import Path

FILE = Path(__file__).with_name("budget.json")
CASES = ["protected, lag 60", "protected, lag 0", "refresh"]
TOLERANCE = 0.03
_UPDATE = (
    "If that is intended, run `python -m benchmarks.instructions --update` and commit benchmarks/budget.json."
)


def describe_platform() -> str:
    _, built_at = platform.python_build()
    return f"Python {platform.python_version()} of {built_at}, {platform.machine()}"


def write(ratios: dict[str, float]) -> None:
    """Replace the budget of this build of Python, and keep the others."""
    rounded = {case: round(ratio, 3) for case, ratio in ratios.items()}
    FILE.write_text(json.dumps({**read(), describe_platform(): rounded}, indent=4) + "\n")


def read() -> dict[str, dict[str, float]]:
    """Return the budgets of all builds of Python."""
    budgets: dict[str, dict[str, float]] = json.loads(FILE.read_text())
    return budgets


def report(ratios: dict[str, float]) -> int:
    """Print whether the ratios are within the budget; return 0 if they are, otherwise 1."""
    allowed = read().get(describe_platform())
    if allowed is None:
        print(f"Skipped: there is no budget for {describe_platform()}, only for {'; '.join(read())}.")
        return 0
    complaints = compare(ratios, allowed)
    print(*(complaints or ["Within the budget."]), sep="\n")
    return int(bool(complaints))


def compare(ratios: dict[str, float], allowed: dict[str, float]) -> list[str]:
    """Return a sentence for each ratio that differs from the budget by more than the tolerance, in either direction.

    A request that became cheaper needs a lower budget; otherwise the next changes could make it expensive again unnoticed.
    """
    return [
        f"{case}: {ratio:.3f} of the minimal view, {abs(ratio / allowed[case] - 1):.1%} "
        f"{'more' if ratio > allowed[case] else 'less'} than the budget of {allowed[case]}. {_UPDATE}"
        for case, ratio in ratios.items()
        if abs(ratio / allowed[case] - 1) > TOLERANCE
    ]
