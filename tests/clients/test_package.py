"""clients/python as a package: what `make packages` builds, installs in a fresh environment, and what that needs."""

import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from tests.servers import ROOT

PACKAGE = ROOT / "clients/python"
BLOCK = "import sys; sys.modules.update(dict.fromkeys(%r)); "


def run(*command, **options):
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build with the command of `make packages`; return the folder."""
    folder = tmp_path_factory.mktemp("dist")
    [command] = re.findall(r"^\t\$\(BIN\)/python (-m build .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    run(sys.executable, *command.replace("--outdir dist", f"--outdir {folder}").split(), cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    [path] = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Install the wheel in a new environment, which finds its dependencies in this one; return the interpreter."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, symlinks=True)
    interpreter = folder / "bin/python"
    run(
        sys.executable, "-m", "pip", "--python", str(interpreter), "install", "--no-index", "--no-deps", str(wheel)
    )
    [packages] = (folder / "lib").glob("*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return str(interpreter)


def test_the_ranges_of_django_are_those_of_the_service():
    service, package = (
        tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in (ROOT, PACKAGE)
    )

    assert set(package["optional-dependencies"]["django"]) <= set(service["dependencies"])
    assert package["requires-python"] == service["requires-python"]


def test_the_wheel_contains_one_top_level_package_with_types_and_migrations(wheel):
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"authclient"}
    assert {"authclient/py.typed", "authclient/django/migrations/0001_initial.py"} <= set(names)
    sources = {str(path.relative_to(PACKAGE)) for path in (PACKAGE / "authclient").rglob("*.py")}
    assert sources <= set(names)


def test_the_source_distribution_contains_the_same_modules_and_the_license(built):
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"LICENSE", "README.md", "pyproject.toml", "authclient/py.typed", "authclient/verifier.py"} <= names


def test_the_package_depends_on_httpx_and_pyjwt_alone(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    [metadata] = tmp_path.glob("*.dist-info")
    required = [text for text in PathDistribution(metadata).requires or [] if "extra ==" not in text]

    assert sorted(re.match(r"[a-z]+(\[.*?\])?", text)[0] for text in required) == ["httpx", "pyjwt[crypto]"]


def test_the_installed_package_is_imported_without_any_framework(python):
    blocked = ["django", "rest_framework", "fastapi", "starlette", "filelock", "tenacity", "accounts", "api"]
    script = BLOCK % blocked + "import authclient, authclient.verifier; print(authclient.__file__)"
    location = run(python, "-I", "-c", script).strip()

    assert Path(location).is_relative_to(Path(python).parent.parent)


SET_UP_DJANGO = """
import django
from django.conf import settings
apps = ["django.contrib.contenttypes", "django.contrib.auth", "authclient.django"]
database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
settings.configure(INSTALLED_APPS=apps, DATABASES={"default": database})
django.setup()
"""
IMPORT_DJANGO = f"{SET_UP_DJANGO}\nfrom authclient.django import authentication, errors, linking, permissions"
MIGRATE = f"""{SET_UP_DJANGO}
from django.core.management import call_command
call_command("makemigrations", "--check", "--dry-run")
call_command("migrate", verbosity=0)
"""


@pytest.mark.parametrize(
    ("script", "blocked"),
    [
        ("import authclient.fastapi", ["django", "rest_framework", "accounts", "api"]),
        (IMPORT_DJANGO, ["fastapi", "starlette", "accounts", "api"]),
    ],
)
def test_each_framework_s_part_needs_only_that_framework(python, script, blocked):
    run(python, "-I", "-c", BLOCK % blocked + f"\n{script}")


def test_the_table_of_identities_has_its_migration(python):
    run(python, "-I", "-c", MIGRATE)
