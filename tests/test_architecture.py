"""Test rules that import-linter cannot express: the domain does not use Django's HTTP modules, modules are short, and
every dependency is used and pinned.
"""

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from django.apps import apps

from accounts.databases import PrimaryQuerySet

ROOT = Path(__file__).parent.parent
HTTP = ("django.http", "django.views", "django.shortcuts", "django.urls", "django.middleware")
DOMAIN = [
    path for path in sorted((ROOT / "accounts").rglob("*.py")) if "admin" not in path.relative_to(ROOT).parts
]


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", DOMAIN, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_domain_imports_no_http_module(path):
    assert not [name for name in imported_modules(path) if name.startswith(HTTP)]


@pytest.mark.parametrize("folder", ["accounts", "api", "authproject"])
def test_modules_stay_short(folder):
    too_long = [path for path in (ROOT / folder).rglob("*.py") if len(path.read_text().splitlines()) > 300]

    assert not too_long


def uses_default_database(node):
    if isinstance(node, ast.ImportFrom):
        return node.module == "django.db" and "connection" in {name.name for name in node.names}
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    needs_alias = is_call and node.func.attr in {"atomic", "on_commit", "set_rollback"}
    return needs_alias and "using" not in {keyword.arg for keyword in node.keywords}


@pytest.mark.parametrize("folder", ["accounts", "api"])
def test_no_module_uses_the_default_database(folder):
    trees = {path: ast.parse(path.read_text()) for path in (ROOT / folder).rglob("*.py")}

    assert not [path for path, tree in trees.items() if any(map(uses_default_database, ast.walk(tree)))]


@pytest.mark.parametrize("model", list(apps.get_app_config("accounts").get_models()))
def test_every_model_is_read_where_it_is_written(model):
    assert isinstance(model._default_manager.get_queryset(), PrimaryQuerySet)


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = [re.match(r"[A-Za-z0-9_.-]+", line)[0].lower() for line in PROJECT["dependencies"]]
USED_INDIRECTLY = {
    "argon2-cffi": "Argon2PasswordHasher",  # used by Django's hasher
    "dj-database-url": "dj_db_url",  # used by environs
    "psycopg": "django.db.backends.postgresql",  # used by Django's backend
}
"""Dependencies that the code never imports, with the name by which it makes another library use them."""


def normalize(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def source_files():
    return [path for folder in ("accounts", "api", "authproject") for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_every_dependency_is_used(dependency):
    text = "\n".join(path.read_text() for path in source_files())
    if dependency in USED_INDIRECTLY:
        assert USED_INDIRECTLY[dependency] in text
        return
    modules = [module for module, names in packages_distributions().items() if dependency in map(normalize, names)]

    assert modules, f"{dependency} is not installed"
    # Apps and middleware are not imported but named in the settings.
    assert re.search(
        rf"^\s*(from|import) ({'|'.join(modules)})\b|\"({'|'.join(modules)})[.\"]", text, re.MULTILINE
    )


@pytest.mark.parametrize(
    "name",
    ["requirements.txt", "requirements-dev.txt", "requirements-bench.txt", "examples/react/api/requirements.txt"],
)
def test_every_requirement_is_pinned_by_its_hash(name):
    lines = re.sub(r"\\\n", " ", (ROOT / name).read_text()).splitlines()
    requirements = [line for line in lines if line and not line.lstrip().startswith("#")]

    assert requirements
    unpinned = [line for line in requirements if not re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)]
    assert not unpinned


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_every_dependency_is_pinned(dependency):
    assert re.search(
        rf"^{re.escape(dependency)}(\[.*\])?==", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    )
