"""What the import contracts cannot say: the domain stands on Django, but not on its HTTP half."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HTTP = ("django.http", "django.views", "django.shortcuts", "django.urls", "django.middleware")
DOMAIN = [
    path
    for path in sorted((ROOT / "accounts").rglob("*.py"))
    if "admin" not in path.relative_to(ROOT).parts and not path.name.startswith("admin_")
]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", DOMAIN, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_domain_knows_no_http(path):
    assert not [name for name in imported(path) if name.startswith(HTTP)]


@pytest.mark.parametrize("folder", ["accounts", "api", "authproject"])
def test_modules_stay_short(folder):
    long = [path for path in (ROOT / folder).rglob("*.py") if len(path.read_text().splitlines()) > 300]

    assert not long
