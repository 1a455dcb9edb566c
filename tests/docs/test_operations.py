"""The commands of docs/operations.md, run as they stand there; and what is in deploy/, as far as it can be looked at here."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.db import connection

from tests.environment import ON_POSTGRESQL
from tests.factories import PASSWORD
from tests.servers import ROOT, Server, environment, free_port

GUIDE = (ROOT / "docs/operations.md").read_text()
BLOCKS = dict(re.findall(r"```sh test:([\w-]+)\n(.*?)```", GUIDE, re.DOTALL))
DATABASE = "postgresql" if ON_POSTGRESQL else "sqlite"
ALICE = {"username": "alice", "password": PASSWORD}


class Shell:
    """Where an operator types what the guide says."""

    def __init__(self, folder, own):
        self.folder = folder
        self.environment = own
        (folder / "manage.py").symlink_to(ROOT / "manage.py")
        (folder / "data").mkdir()

    def type(self, name, **variables):
        done = subprocess.run(
            ["bash", "-euc", BLOCKS[name] + "\nenv -0 >&2"],
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, dict(line.partition("=")[::2] for line in done.stderr.split("\0"))


class Installation(Shell):
    """The same, with a server that is running."""

    def __init__(self, folder, own):
        super().__init__(folder, own)
        self.server = Server(own, folder / "log")
        self.server.post("/api/auth/signup", {**ALICE, "email": "alice@example.com"})

    def sign_in(self):
        status, pair = self.server.post("/api/auth/signin", ALICE)
        assert status == 200, pair
        return pair

    def status(self, pair):
        return self.server.request("GET", "/api/test/user", Authorization=f"Bearer {pair['accessToken']}")[0]

    def refresh(self, pair):
        return self.server.post("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]})[0]


@pytest.fixture(scope="module")
def places(tmp_path_factory, django_db_setup, django_db_blocker):
    """Make a folder and a database for each of so many installations; SQLite's is where the guide has it."""
    programs = ""
    if ON_POSTGRESQL:
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute("SELECT setting FROM pg_config WHERE name = 'BINDIR'")  # pg_dump, as new as the server
            programs = cursor.fetchone()[0]

    def make(name):
        folder = tmp_path_factory.mktemp(name)
        own = environment(
            folder,
            django_db_blocker,
            AUTH_METRICS=f"127.0.0.1:{free_port()}",
            PATH=f"{Path(sys.executable).parent}:{programs}:{os.environ['PATH']}",
            WORKERS="1",  # that are stopped as soon as they are ready
        )
        return folder, own if ON_POSTGRESQL else {**own, "DATABASE_URL": f"sqlite:///{folder / 'data/db.sqlite3'}"}

    return [make(name) for name in ("operated", "backed_up", "restored")]


@pytest.fixture(scope="module")
def here(places):
    installation = Installation(*places[0])
    yield installation
    assert installation.server.stop() == 0


def test_a_person_is_told_what_is_known(here):
    pair = here.sign_in()

    told = here.type("export", api=f"http://127.0.0.1:{here.server.port}/api", access=pair["accessToken"])[0]

    profile, sessions, activity = map(json.loads, told.splitlines())
    assert profile["email"] == "alice@example.com"
    assert any(session["current"] for session in sessions)
    assert "sign_in:succeeded" in {entry["event"] for entry in activity}


def test_every_command_marked_as_tested_is():
    mine = Path(__file__).read_text()

    assert [
        name for name in BLOCKS if f'"{name}"' not in mine and name.rpartition("-")[0] not in {"backup", "restore"}
    ] == []


def test_a_backup_restores_users_and_keys_and_no_session(places):
    before = Installation(*places[1])
    pair = before.sign_in()
    before.type(f"backup-{DATABASE}")
    keys = before.server.request("GET", "/.well-known/jwks.json")[1]
    before.server.stop()
    after = Shell(*places[2])
    for name in ("keys.tar", "backup.dump" if ON_POSTGRESQL else "backup.sqlite3"):
        assert (before.folder / name).stat().st_mode & 0o77 == 0
        shutil.copy(before.folder / name, after.folder)

    told, _ = after.type(f"restore-{DATABASE}")

    assert "Ended 1 session(s)." in told
    before.server = Server(after.environment, after.folder / "log")
    try:
        assert before.server.request("GET", "/.well-known/jwks.json")[1] == keys
        assert (before.status(pair), before.refresh(pair)) == (401, 403)
        assert before.status(before.sign_in()) == 200
    finally:
        before.server.stop()


def test_a_rotation_lets_tokens_live_on(here):
    pair = here.sign_in()

    told, _ = here.type("rotate")

    assert "signs" in told
    assert here.status(pair) == 200


def test_a_replaced_secret_key_is_noticed_by_nobody(here, tmp_path):
    pair = here.sign_in()
    _, after = here.type("secret")
    changed = {**here.environment, **{name: after[name] for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS")}}
    assert changed["SECRET_KEY"] != here.environment["SECRET_KEY"]

    other = Server({**changed, "PORT": str(free_port()), "AUTH_METRICS": ""}, tmp_path / "log")
    try:
        assert other.post("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]})[0] == 200
    finally:
        other.stop()


def test_a_purge_says_what_it_would_delete_first(here):
    told, _ = here.type("purge")

    assert "sessions" in told


def test_a_stolen_token_s_user_is_signed_out_everywhere(here):
    pairs = [here.sign_in(), here.sign_in()]

    told, _ = here.type("stolen-token")

    assert re.search(r"Ended \d+ session\(s\)\.", told)
    assert {(here.status(pair), here.refresh(pair)) for pair in pairs} == {(401, 403)}


def test_a_leaked_signing_key_s_tokens_fail_and_sessions_live_on(here):
    pair = here.sign_in()
    header = pair["accessToken"].split(".")[0]
    kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]

    here.type("leaked-signing-key", KID=kid)

    assert (here.status(pair), here.refresh(pair)) == (401, 200)


def test_a_leaked_database_lets_nobody_stay(here):
    pair = here.sign_in()

    told, _ = here.type("leaked-database")

    assert re.search(r"Ended \d+ session\(s\)\.", told)
    assert (here.status(pair), here.refresh(pair)) == (401, 403)
    assert here.status(here.sign_in()) == 200


def test_metrics_are_where_the_guide_says(here):
    here.sign_in()
    told, _ = here.type("metrics")

    for name in re.findall(r"`(auth_\w+)", GUIDE.partition("**Metrics.**")[2].partition("Alerts")[0]):
        assert name in told, name


def test_the_health_check_ends_as_the_server_is(here):
    command = [sys.executable, str(ROOT / "deploy/healthcheck.py")]

    assert subprocess.run(command, env=here.environment, check=False).returncode == 0
    nobody = {**here.environment, "PORT": str(free_port())}
    assert subprocess.run(command, env=nobody, check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_secrets_are_read_from_files(tmp_path):
    (tmp_path / "key").write_text("a secret of some length, and the end of its line\n")
    script = "from authproject.settings import SECRET_KEY; print(repr(SECRET_KEY))"

    def shown(path):
        variables = {**os.environ, "SECRET_KEY": "", "SECRET_KEY_FILE": str(path)}
        return subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )

    assert shown(tmp_path / "key").stdout == "'a secret of some length, and the end of its line'\n"
    assert "SECRET_KEY_FILE must be a readable file path" in shown(tmp_path / "none").stderr


COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_the_compose_file_names_nothing_that_it_does_not_have():
    services = COMPOSE["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), name
        assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"]), name


def test_in_containers_nothing_is_writable_or_privileged_that_need_not_be():
    for name in ("auth", "migrate", "purge"):
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    assert re.findall(r"^USER (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE) == ["10001"]


def test_the_image_is_made_of_files_that_are_there():
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+)", dockerfile, re.MULTILINE)
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert all((ROOT / path).exists() for path in copied)
    assert set(copied) == kept
    assert "--require-hashes" in dockerfile


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", sorted(path.name for path in (ROOT / "deploy").glob("authproject*")))
def test_systemd_understands_the_units(unit, tmp_path):
    for path in (ROOT / "deploy").glob("authproject*"):
        text = path.read_text().replace("/opt/authproject/.venv/bin/python", sys.executable)
        (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / unit)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
