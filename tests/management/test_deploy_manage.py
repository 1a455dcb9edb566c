"""deploy/manage runs a command with the user and the settings of the service, or says why it cannot."""

import json
import os
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import pytest

from tests.servers import ROOT

SCRIPT = ROOT / "deploy/manage"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def configuration(tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o700)
    (folder / "secret_key").write_text("secret-key-of-the-service-" * 2 + "\n")
    (folder / "database_url").write_text("postgres://auth:password@db.example.com/auth\n")
    (folder / "environment").write_text(
        '# a comment\n; another one\n\nPUBLIC_URL=https://auth.example.com\nEMAIL_FROM="Auth <auth@example.com>"\n'
    )
    return folder


@pytest.fixture
def run(configuration, tmp_path):
    """Return a function that runs a copy of the script, whose manage.py prints how it was run."""
    root = tmp_path / "opt"
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/python").symlink_to("/usr/bin/python3")
    (root / "deploy").mkdir()
    (root / "deploy/manage").write_text(SCRIPT.read_text())
    (root / "manage.py").write_text(
        "import json, os, sys\n"
        "print(json.dumps([sys.argv[1:], os.getcwd(), os.getuid(), os.getgroups(), dict(os.environ)]))\n"
    )
    for folder in (*reversed(root.relative_to("/").parents), root.relative_to("/")):
        path = "/" / folder
        if path.stat().st_uid == os.getuid() and path != path.parent:
            path.chmod(path.stat().st_mode | 0o011)
    root.chmod(0o755)

    def run(*arguments, **variables):
        return subprocess.run(
            [sys.executable, root / "deploy/manage", *arguments],
            env={
                "PATH": os.environ["PATH"], "AUTHPROJECT_CONFIGURATION": str(configuration),
                "AUTHPROJECT_USER": "nobody", **variables,
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@needs_root
def test_the_command_runs_as_the_user_of_the_service_with_its_settings_only(run, tmp_path):
    done = run("grantrole", "alice", "two words", DATABASE_URL="sqlite:///of-the-caller", SECRET="of the caller")

    assert done.returncode == 0, done.stderr
    arguments, folder, user, groups, variables = json.loads(done.stdout)
    assert (arguments, folder) == (["grantrole", "alice", "two words"], str(tmp_path / "opt"))
    assert user != 0
    assert 0 not in groups
    assert variables["DATABASE_URL"] == "postgres://auth:password@db.example.com/auth"
    assert variables["SECRET_KEY"] == "secret-key-of-the-service-" * 2
    assert variables["AUTH_KEYS_DIR"] == "/var/lib/authproject/keys"
    assert variables["EMAIL_FROM"] == "Auth <auth@example.com>"
    assert "SECRET" not in variables


@needs_root
@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        ((), {}, "Pass a command"),
        (("serve",), {}, "Use `systemctl start authproject`"),
        (("migrate",), {"AUTHPROJECT_CONFIGURATION": "/nowhere"}, "/nowhere/secret_key cannot be read"),
        (("migrate",), {"AUTHPROJECT_USER": "no-such-user"}, "There is no user 'no-such-user'"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused_with_a_sentence(run, arguments, variables, message):
    done = run(*arguments, **variables)

    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@needs_root
def test_another_user_than_root_is_refused():
    done = subprocess.run(
        [sys.executable, "-c", f"import os; os.setuid(65534); exec(open({str(SCRIPT)!r}).read())", "migrate"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (1, "")


def load_script():
    loader = SourceFileLoader("deploy_manage", str(SCRIPT))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=1", "1"),
        (" A = 1 \t\n", "1"),
        ("A=\nB=2", ""),
        ("A=1\nA=2", "2"),
        ("# A=2\n; A=3\n\nA=1", "1"),
        ("A=one # two", "one # two"),
        ('A=it\'s "so"', 'it\'s "so"'),
        ("A='one $B \\n'", "one $B \\n"),
        ('A="one \\"two\\" \\$B \\n"', 'one "two" $B \\n'),
        ("A='one' \"two\" three", "onetwothree"),
        ("A='one\ntwo'", "one\ntwo"),
        ("A=one\\\ntwo", "onetwo"),
        ("A=C:\\\\x", "C:\\x"),
        ("A=$B ${B} %h", "$B ${B} %h"),
        ("A=a=b==", "a=b=="),
    ],
)
def test_an_environment_file_is_read_as_systemd_reads_it(text, value):
    assert load_script().parse_environment(text, SCRIPT)["A"] == value


def test_an_environment_file_of_windows_is_read(tmp_path):
    (tmp_path / "environment").write_bytes(b"A=1\r\nB='2'\r\n")
    script = load_script()

    text = script.read(tmp_path / "environment")

    assert script.parse_environment(text, tmp_path) == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("=hidden", "names no variable"),
        ("export B=hidden", "names no variable"),
        ("1B=hidden", "names no variable"),
        ("\ufeffB=hidden", "names no variable"),
        ("B=hidden\0", "names no variable"),
        ("hidden", "is not NAME=VALUE"),
        ("B='hidden", "its quote is not closed"),
        ('B="hidden\\"', "its quote is not closed"),
    ],
)
def test_a_line_that_systemd_would_ignore_is_refused_with_its_number(line, reason):
    with pytest.raises(SystemExit, match=reason) as raised:
        load_script().parse_environment(f"# a comment\n\nA='1\n2'\n{line}\n", SCRIPT)

    assert str(raised.value).startswith(f"{SCRIPT}, line 5")
    assert "hidden" not in str(raised.value)


def test_the_script_uses_the_user_folder_and_secrets_of_the_unit():
    unit, script = (ROOT / "deploy/authproject.service").read_text(), SCRIPT.read_text()

    [user] = re.findall(r"^User=(.*)$", unit, re.MULTILINE)
    assert f'USER = "{user}"' in script
    assert "EnvironmentFile=/etc/authproject/environment" in unit
    assert "StateDirectory=authproject" in unit
    assert "AUTH_KEYS_DIR=%S/authproject/keys" in unit
    for name, path in re.findall(r"^LoadCredential=(\w+):(.*)$", unit, re.MULTILINE):
        assert f'"{name.upper()}": "{path.rpartition("/")[2]}"' in script
