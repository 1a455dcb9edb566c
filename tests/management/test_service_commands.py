"""Commands name the database and the keys that they act on, and refuse to act on those of no service."""

import os
import re
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.keys.schedule import RING_FILE
from accounts.management.service_command import describe_target
from tests.factories import make_user
from tests.servers import ROOT

CHANGING = [
    ("activateuser", "alice"), ("changepassword", "alice"), ("createsuperuser", "--noinput"),
    ("deactivateuser", "alice"), ("endsessions", "alice"), ("grantrole", "alice", "admin"),
    ("import_users", "/dev/null"), ("purge_expired_tokens",), ("revokerole", "alice", "admin"),
    ("rotate_signing_key",),
]  # fmt: skip


def manage(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", CHANGING, ids=lambda command: command[0])
def test_a_command_in_the_wrong_environment_is_refused_and_creates_nothing(tmp_path, command):
    done = manage(
        *command, DATABASE_URL=f"sqlite:///{tmp_path / 'db.sqlite3'}", AUTH_KEYS_DIR=str(tmp_path / "keys")
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_tables_is_refused(tmp_path):
    (tmp_path / "db.sqlite3").touch()

    done = manage("grantrole", "alice", "admin", DATABASE_URL=f"sqlite:///{tmp_path / 'db.sqlite3'}")

    assert "has no users table. Run the command with the environment of the service" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", [("grantrole", "alice", "admin"), ("migrate",)], ids=lambda command: command[0]
)
def test_a_database_that_cannot_be_reached_is_reported_in_one_line(command):
    done = manage(*command, DATABASE_URL="postgres://auth:hidden@127.0.0.1:1/auth")

    assert done.returncode == 1
    assert re.fullmatch(
        r"CommandError: The database \(PostgreSQL, 'auth' on 127.0.0.1, 1, as auth\) cannot be used: .*refused.* "
        r"Check DATABASE_URL and the database server, then run the command again.\n",
        done.stderr,
    )
    assert "hidden" not in done.stderr


def test_a_command_names_its_database_and_key_folder_on_standard_error(settings):
    make_user("alice")
    output, errors = StringIO(), StringIO()

    call_command("grantrole", "alice", "admin", stdout=output, stderr=errors)

    name = re.escape(str(connection.settings_dict["NAME"]))
    assert re.fullmatch(f"Database: .*{name}.* Signing keys: {settings.AUTH['keys_dir']}\n", errors.getvalue())
    assert output.getvalue() == "Roles of alice: admin, user.\n"


def test_the_description_of_a_postgresql_database_has_no_password():
    class Database:
        vendor, display_name = "postgresql", "PostgreSQL"
        settings_dict = {
            "NAME": "auth", "HOST": "db.example.com", "PORT": 5432, "USER": "service", "PASSWORD": "hidden",
            "OPTIONS": {"passfile": "hidden"},
        }  # fmt: skip

    text = describe_target(Database)

    assert text.startswith("Database: PostgreSQL, 'auth' on db.example.com, 5432, as service. Signing keys: ")
    assert "hidden" not in text


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("rotate_signing_key", "--drop", ""), "drop"),
        (("rotate_signing_key", "--drop", " "), "drop"),
        (("grantrole", "alice", ""), "role"),
        (("grantrole", "", "admin"), "username"),
        (("revokerole", "alice", "admin", " "), "role"),
        (("activateuser", ""), "username"),
        (("deactivateuser", ""), "username"),
        (("changepassword", ""), "username"),
        (("createsuperuser", "--noinput", "--username", ""), "username"),
        (("endsessions", "alice", ""), "username"),
        (("import_users", ""), "file"),
    ],
)
def test_a_blank_argument_is_refused_and_changes_nothing(settings, api, command, name):
    make_user("alice")
    api.get("/.well-known/jwks.json")
    ring = settings.AUTH["keys_dir"] / RING_FILE
    before = ring.read_bytes()

    with pytest.raises(CommandError, match=f"^The argument '{name}' is blank. Pass a value"):
        call_command(*command, stdout=StringIO(), stderr=StringIO())

    assert ring.read_bytes() == before


@pytest.mark.parametrize("arguments", [(), ("--drop", "some-key")])
def test_a_rotation_without_keys_is_refused_and_creates_no_folder(override_auth, tmp_path, arguments):
    override_auth(keys_dir=tmp_path / "keys")

    with pytest.raises(
        CommandError, match=r"keys contains no signing keys\. Allowed: the key folder of the service"
    ):
        call_command("rotate_signing_key", *arguments, stdout=StringIO(), stderr=StringIO())

    assert not (tmp_path / "keys").exists()


def test_a_rotation_before_the_first_encryption_key_says_how_to_create_it(override_auth, tmp_path):
    override_auth(keys_dir=tmp_path)

    with pytest.raises(CommandError, match=r"^There is no encryption key to rotate\. Create the first keys with "):
        call_command("rotate_encryption_key", stdout=StringIO(), stderr=StringIO())

    override_auth(keys_dir=tmp_path, token_encryption=True)
    call_command("show_encryption_key", stdout=StringIO(), stderr=StringIO())
    call_command("rotate_encryption_key", stdout=StringIO(), stderr=StringIO())
