"""What the import contracts cannot say: the domain stands on Django, but not on its HTTP half."""

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HTTP = ("django.http", "django.views", "django.shortcuts", "django.urls", "django.middleware")
DOMAIN = [
    path for path in sorted((ROOT / "accounts").rglob("*.py")) if "admin" not in path.relative_to(ROOT).parts
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


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = [re.match(r"[A-Za-z0-9_.-]+", line)[0].lower() for line in PROJECT["dependencies"]]
USED_BY_OTHERS = {
    "argon2-cffi": "Argon2PasswordHasher",  # by Django's hasher
    "dj-database-url": "dj_db_url",  # by environs
    "psycopg": "django.db.backends.postgresql",  # by Django's backend
}
"""What our code never imports, and the word by which it makes another library do so."""


AWAITED = {"prometheus-client"}
"""What is locked ahead of the code that will use it."""


def spelled(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def sources():
    return [path for folder in ("accounts", "api", "authproject") for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("dependency", sorted(set(DEPENDENCIES) - AWAITED))
def test_every_dependency_is_used(dependency):
    text = "\n".join(path.read_text() for path in sources())
    if dependency in USED_BY_OTHERS:
        assert USED_BY_OTHERS[dependency] in text
        return
    modules = [module for module, names in packages_distributions().items() if dependency in map(spelled, names)]

    assert modules, f"{dependency} is not installed"
    # Imported, or named in the settings, as apps and middleware are.
    assert re.search(
        rf"^\s*(from|import) ({'|'.join(modules)})\b|\"({'|'.join(modules)})[.\"]", text, re.MULTILINE
    )


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-bench.txt"])
def test_every_requirement_is_pinned_by_its_hash(name):
    lines = re.sub(r"\\\n", " ", (ROOT / name).read_text()).splitlines()
    requirements = [line for line in lines if line and not line.lstrip().startswith("#")]

    assert requirements
    loose = [line for line in requirements if not re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)]
    assert not loose


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_every_dependency_is_pinned(dependency):
    assert re.search(
        rf"^{re.escape(dependency)}(\[.*\])?==", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    )
