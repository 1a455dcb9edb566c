"""docs/quickstart.md: every command and snippet on the page works with a running server."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browsers import CHROMIUM, running_chromium
from tests.servers import ROOT, Server, environment, free_port, wait_until

QUICKSTART = (ROOT / "docs/quickstart.md").read_text()
SERVE, CURL, GRANT, COPY, FRONT_END, EXAMPLE, PRODUCTION = re.findall(r"```sh\n(.*?)```", QUICKSTART, re.DOTALL)
[PAGE] = re.findall(r"```html\n(.*?)```", QUICKSTART, re.DOTALL)
[PYTHON] = re.findall(r"```python\n(.*?)```", QUICKSTART, re.DOTALL)


@pytest.fixture(autouse=True)
def _database_transaction():
    """Turn the database of the tests off: the server has its own."""


class Reader:
    """A reader who follows the page, with free ports and a temporary folder in place of those on the page."""

    def __init__(self, server, folder, page_port):
        self.folder = folder
        self.server = server
        self.page = f"http://localhost:{page_port}"
        self.replacements = {
            "127.0.0.1:8000": f"127.0.0.1:{server.port}",
            "localhost:3000": f"localhost:{page_port}",
            "http.server 3000": f"http.server {page_port}",
            "/tmp/frontend": str(folder / "frontend"),
            ".venv/bin/python": sys.executable,
        }

    def adapt(self, text):
        for documented, actual in self.replacements.items():
            text = text.replace(documented, actual)
        return text

    def run(self, command):
        done = subprocess.run(
            ["bash", "-euc", self.adapt(command)], cwd=ROOT, env=self.server.environment,
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


def settings_in(command):
    return dict(re.findall(r"([A-Z_]+)=(\S+)", command))


@pytest.fixture(scope="module")
def reader(tmp_path_factory, django_db_setup, django_db_blocker):
    folder, port = tmp_path_factory.mktemp("quickstart"), free_port()
    documented = settings_in(SERVE)
    assert set(documented) == {"CORS_ALLOWED_ORIGINS"}
    origins = documented["CORS_ALLOWED_ORIGINS"].replace("3000", str(port))
    server = Server(environment(folder, django_db_blocker, CORS_ALLOWED_ORIGINS=origins), folder / "log")
    reader = Reader(server, folder, port)
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    reader.curl_output = reader.run(CURL)
    yield reader
    assert server.stop() == 0


def test_the_shell_commands_have_the_documented_results(reader):
    assert "User was registered successfully!" in reader.curl_output
    assert reader.curl_output.endswith("User Content.")
    assert "moderator" in reader.run(GRANT)


def test_the_start_page_is_served(reader):
    assert reader.server.request("GET", "/")[0] == 200


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_front_end_signs_in_and_stays_signed_in(reader):
    reader.run(COPY)
    (reader.folder / "frontend/index.html").write_text(reader.adapt(PAGE))
    command = ["bash", "-c", f"exec {reader.adapt(FRONT_END)}"]
    serving = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with running_chromium() as browser:
            page = browser.new_page()
            wait_until(lambda: responds(page, reader.page))
            page.get_by_placeholder("Username").fill("ada")
            page.get_by_placeholder("Password").fill("wrong")
            page.get_by_role("button").click()
            page.get_by_text("Invalid username or password!").wait_for()
            page.get_by_placeholder("Password").fill("analytical engine")
            page.get_by_role("button").click()
            page.get_by_text("ada: User Content.").wait_for()
            page.reload()
            page.get_by_text("ada: User Content.").wait_for()
    finally:
        serving.terminate()
        serving.wait(timeout=10)


def responds(page, address):
    try:
        return page.goto(address).ok
    except Exception:  # noqa: BLE001  Playwright's error while the server is starting
        return False


def test_the_python_client_signs_in(reader):
    output = subprocess.run(
        [sys.executable, "-c", reader.adapt(PYTHON)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "clients/python")},
        check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip

    assert output == "User Content.\n"


def test_the_settings_for_production_pass_django_s_deployment_checks(tmp_path):
    documented = settings_in(PRODUCTION)
    assert {"PUBLIC_URL", "ALLOWED_HOSTS", "DATABASE_URL", "EMAIL_URL", "AUTH_TRUSTED_PROXIES"} <= set(documented)
    settings = {**os.environ, **documented, "AUTH_KEYS_DIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=Path(ROOT), env=settings, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
