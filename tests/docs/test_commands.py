"""What the pages tell operators to type: each command is run, and each set of settings starts."""

import os
import re
import subprocess
import sys

import pytest

from tests.factories import PASSWORD
from tests.servers import ROOT, Server, environment

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = {
    str(page.relative_to(ROOT)): re.findall(r"^```sh[^\n]*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    for page in PAGES
}
STARTS = sorted(
    {
        command
        for snippets in SHELL.values()
        for text in snippets
        for command in re.findall(r"^(.*=.*) make serve$", text.replace("\\\n", " "), re.MULTILINE)
    }
)
[OPERATORS] = [text for text in SHELL["docs/operations.md"] if "grantrole alice" in text]
[ROTATION] = [text for text in SHELL["docs/services.md"] if "rotate_signing_key" in text]
[END_ALL] = [text for text in SHELL["docs/security.md"] if "endsessions --everyone" in text]


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_setup, django_db_blocker):
    folder = tmp_path_factory.mktemp("commands")
    settings = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD, "DJANGO_SUPERUSER_USERNAME": "root"}
    settings |= {"DJANGO_SUPERUSER_EMAIL": "root@example.com"}
    server = Server(environment(folder, django_db_blocker, **settings), folder / "log")
    yield server
    assert server.stop() == 0


@pytest.fixture
def run(server):
    def run(command, text=""):
        command = re.sub(r"(\.venv/bin/)?python manage\.py", f"{sys.executable} manage.py", command)
        return subprocess.run(
            ["bash", "-euc", command], cwd=ROOT, env=server.environment, input=text, start_new_session=True,
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run


def test_the_commands_for_operators_do_what_the_readme_says(server, run, tmp_path):
    pair = server.sign_in("alice")
    (tmp_path / "users.jsonl").touch()
    typed = {
        "createsuperuser": ("createsuperuser --noinput", ""),
        "changepassword alice": ("changepassword alice", "another horse staple\n" * 2),
        "users.jsonl": (str(tmp_path / "users.jsonl"), ""),
    }

    for line in OPERATORS.splitlines():
        part = next((part for part in typed if part in line), "")
        change, text = typed.get(part, ("", ""))
        done = run(line.replace(part, change) if part else line, text)
        assert done.returncode == 0, (line, done.stderr)

    assert server.content(pair) == 401


def test_keys_are_rotated_and_dropped_as_the_page_says(run):
    rotate, to_another, drop = ROTATION.splitlines()
    told = run(rotate).stdout
    assert "signs" in told
    assert "EdDSA" in run(to_another).stdout
    kid = told.split()[0]

    done = run(drop.replace("--drop KID", f"--drop={kid}"))
    assert done.returncode == 0, done.stderr
    assert kid not in run(rotate).stdout


def test_a_restored_backup_is_made_safe_as_the_page_says(server, run):
    pair = server.sign_in("bob")
    assert server.content(pair) == 200

    done = run(END_ALL)

    assert done.returncode == 0, done.stderr
    assert server.content(pair) == 401


@pytest.mark.parametrize("command", STARTS)
def test_the_settings_of_every_start_that_is_shown_are_taken(command, tmp_path):
    shown = dict(re.findall(r"([A-Z_]+)=(\S+)", command))

    checked = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT,
        env={**os.environ, **shown, "AUTH_KEYS_DIR": str(tmp_path)},
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert checked.returncode == 0, checked.stderr
