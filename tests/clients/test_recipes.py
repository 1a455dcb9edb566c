"""clients/recipes: each recipe with its library from npm, against a running server."""

import os
import shutil
import subprocess

import pytest

from tests.servers import ROOT, Server, environment

NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="Node is not installed")


@pytest.fixture(autouse=True)
def _database_transaction():
    """Turn the database of the tests off: the database of a server is created outside of a transaction."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes") / "clients"
    shutil.copytree(ROOT / "clients", folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    if subprocess.run(command, cwd=folder / "recipes", check=False, timeout=300).returncode:
        pytest.skip("npm cannot install the libraries")
    return folder / "recipes"


@pytest.mark.parametrize(
    ("file", "settings"),
    [("recipes.test.js", {}), ("tutorials.test.js", {"AUTH_REFRESH_TOKEN_ROTATION": "false"})],
    ids=["recipes", "tutorials"],
)
def test_front_ends_stay_signed_in(folder, tmp_path, django_db_setup, django_db_blocker, file, settings):
    server = Server(environment(tmp_path, django_db_blocker, **settings), tmp_path / "log")
    variables = {**os.environ, "SERVICE": f"http://127.0.0.1:{server.port}"}
    command = [NODE, "--test", file]
    done = subprocess.run(
        command, cwd=folder, env=variables, check=False, capture_output=True, text=True, timeout=120
    )
    exit_code = server.stop()

    assert done.returncode == 0, done.stdout
    assert "# pass 0" not in done.stdout
    assert exit_code == 0


def test_the_recipes_are_correctly_typed(folder):
    done = subprocess.run(
        ["npm", "run", "types"], cwd=folder, check=False, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stdout
