"""The pages for operators: each documented command succeeds, and each documented set of settings is valid."""

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


def test_the_commands_for_operators_succeed(server, run, tmp_path):
    pair = server.sign_in("alice")
    (tmp_path / "users.jsonl").touch()
    substitutions = {
        "createsuperuser": ("createsuperuser --noinput", ""),
        "changepassword alice": ("changepassword alice", "another horse staple\n" * 2),
        "users.jsonl": (str(tmp_path / "users.jsonl"), ""),
    }

    for line in OPERATORS.splitlines():
        part = next((part for part in substitutions if part in line), "")
        replacement, text = substitutions.get(part, ("", ""))
        done = run(line.replace(part, replacement) if part else line, text)
        assert done.returncode == 0, (line, done.stderr)

    assert server.content(pair) == 401


def test_the_documented_commands_rotate_and_drop_keys(run):
    rotate, to_another, drop = ROTATION.splitlines()
    output = run(rotate).stdout
    assert "signs" in output
    assert "EdDSA" in run(to_another).stdout
    kid = output.split()[0]

    done = run(drop.replace("--drop=KID", f"--drop={kid}"))
    assert done.returncode == 0, done.stderr
    assert kid not in run(rotate).stdout


def test_the_documented_command_ends_all_sessions_after_a_restore(server, run):
    pair = server.sign_in("bob")
    assert server.content(pair) == 200

    done = run(END_ALL)

    assert done.returncode == 0, done.stderr
    assert server.content(pair) == 401


@pytest.mark.parametrize("command", STARTS)
def test_the_settings_of_every_documented_start_are_valid(command, tmp_path):
    variables = dict(re.findall(r"([A-Z_]+)=(\S+)", command))

    done = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT,
        env={**os.environ, **variables, "AUTH_KEYS_DIR": str(tmp_path)},
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
