"""clients/recipes: each with its library, from npm, against the real server."""

import os
import shutil
import subprocess

import pytest

from tests.servers import ROOT, Server, environment

NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="Node is not installed")


@pytest.fixture(autouse=True)
def _database_transaction():
    """Give no test a database, in place of the fixture that does: a server's own is made outside of transactions."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes") / "clients"
    shutil.copytree(ROOT / "clients", folder)
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    if subprocess.run(command, cwd=folder / "recipes", check=False, timeout=300).returncode:
        pytest.skip("npm does not give the libraries")
    return folder / "recipes"


@pytest.mark.parametrize(
    ("file", "settings"),
    [("recipes.test.js", {}), ("tutorials.test.js", {"AUTH_REFRESH_TOKEN_ROTATION": "false"})],
    ids=["recipes", "tutorials"],
)
def test_front_ends_stay_signed_in(folder, tmp_path, django_db_setup, django_db_blocker, file, settings):
    server = Server(environment(tmp_path, django_db_blocker, **settings), tmp_path / "log")
    service = {**os.environ, "SERVICE": f"http://127.0.0.1:{server.port}"}
    command = [NODE, "--test", file]
    ran = subprocess.run(
        command, cwd=folder, env=service, check=False, capture_output=True, text=True, timeout=120
    )
    stopped = server.stop()

    assert ran.returncode == 0, ran.stdout
    assert "# pass 0" not in ran.stdout
    assert stopped == 0
