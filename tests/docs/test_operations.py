"""docs/operations.md: every command marked as tested does what the page says; files in deploy/ are consistent."""

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
    """A folder and environment in which the commands of the page are run."""

    def __init__(self, folder, env):
        self.folder = folder
        self.environment = env
        (folder / "manage.py").symlink_to(ROOT / "manage.py")
        (folder / "data").mkdir()

    def run_block(self, name, **variables):
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
    """A shell with a running server and a user named alice."""

    def __init__(self, folder, env):
        super().__init__(folder, env)
        self.server = Server(env, folder / "log")
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
def environments(tmp_path_factory, django_db_setup, django_db_blocker):
    """Return folder and environment of three installations, each with an empty database.

    SQLite's database is where the page expects it.
    """
    postgresql_binaries = ""
    if ON_POSTGRESQL:
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT setting FROM pg_config WHERE name = 'BINDIR'"
            )  # pg_dump of the server's version
            postgresql_binaries = cursor.fetchone()[0]

    def make(name):
        folder = tmp_path_factory.mktemp(name)
        env = environment(
            folder,
            django_db_blocker,
            AUTH_METRICS=f"127.0.0.1:{free_port()}",
            PATH=f"{Path(sys.executable).parent}:{postgresql_binaries}:{os.environ['PATH']}",
            WORKERS="1",  # the tests stop the server as soon as its first worker is ready
        )
        return folder, env if ON_POSTGRESQL else {**env, "DATABASE_URL": f"sqlite:///{folder / 'data/db.sqlite3'}"}

    return [make(name) for name in ("operated", "backed_up", "restored")]


@pytest.fixture(scope="module")
def installation(environments):
    running = Installation(*environments[0])
    yield running
    assert running.server.stop() == 0


def test_the_documented_export_contains_profile_factors_sessions_and_history(installation):
    pair = installation.sign_in()

    output = installation.run_block(
        "export", api=f"http://127.0.0.1:{installation.server.port}/api", access=pair["accessToken"]
    )[0]

    profile, factors, sessions, activity = map(json.loads, output.splitlines())
    assert profile["email"] == "alice@example.com"
    assert factors == {"factors": [], "recoveryCodesLeft": 0}
    assert any(session["current"] for session in sessions)
    assert "sign_in:succeeded" in {entry["event"] for entry in activity}


def test_every_command_marked_as_tested_is_run_here():
    source = Path(__file__).read_text()

    assert [
        name
        for name in BLOCKS
        if f'"{name}"' not in source and name.rpartition("-")[0] not in {"backup", "restore"}
    ] == []


def test_a_restored_backup_has_the_users_and_keys_and_no_valid_session(environments):
    before = Installation(*environments[1])
    pair = before.sign_in()
    before.run_block(f"backup-{DATABASE}")
    keys = before.server.request("GET", "/.well-known/jwks.json")[1]
    before.server.stop()
    after = Shell(*environments[2])
    for name in ("keys.tar", "backup.dump" if ON_POSTGRESQL else "backup.sqlite3"):
        assert (before.folder / name).stat().st_mode & 0o77 == 0
        shutil.copy(before.folder / name, after.folder)

    output, _ = after.run_block(f"restore-{DATABASE}")

    assert "Ended 1 session(s)." in output
    before.server = Server(after.environment, after.folder / "log")
    try:
        assert before.server.request("GET", "/.well-known/jwks.json")[1] == keys
        assert (before.status(pair), before.refresh(pair)) == (401, 403)
        assert before.status(before.sign_in()) == 200
    finally:
        before.server.stop()


def test_tokens_stay_valid_after_a_key_rotation(installation):
    pair = installation.sign_in()

    output, _ = installation.run_block("rotate")

    assert "signs" in output
    assert installation.status(pair) == 200


def test_sessions_continue_in_every_documented_phase_of_replacing_the_secret_key(installation, tmp_path):
    pair = installation.sign_in()
    keys = {name: installation.environment.get(name, "") for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS")}
    old = keys["SECRET_KEY"]
    used = []
    for block in ("secret-accept", "secret-issue", "secret-drop"):
        _, after = installation.run_block(block, **keys)
        keys = {name: after[name] for name in keys}
        used.append(keys["SECRET_KEY"])
        variables = {**installation.environment, **keys, "PORT": str(free_port()), "AUTH_METRICS": ""}
        other = Server(variables, tmp_path / block)
        try:
            status, pair = other.post("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]})
            assert status == 200, pair
        finally:
            other.stop()

    assert used[0] == old != used[1] == used[2]
    assert keys["SECRET_KEY_FALLBACKS"] == ""


def test_the_documented_purge_succeeds_and_reports_the_sessions(installation):
    output, _ = installation.run_block("purge")

    assert "sessions" in output


def test_the_documented_delivery_of_logout_tokens_reports_what_it_did(installation):
    output, _ = installation.run_block("logouts")

    assert output == "Delivered 0 logout token(s).\n"


def test_the_response_to_a_stolen_token_ends_all_sessions_of_the_user(installation):
    pairs = [installation.sign_in(), installation.sign_in()]

    output, _ = installation.run_block("stolen-token")

    assert re.search(r"Ended \d+ session\(s\)\.", output)
    assert {(installation.status(pair), installation.refresh(pair)) for pair in pairs} == {(401, 403)}


def test_the_response_to_a_leaked_signing_key_refuses_its_tokens_and_keeps_sessions_valid(installation):
    pair = installation.sign_in()
    header = pair["accessToken"].split(".")[0]
    kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]

    installation.run_block("leaked-signing-key", KID=kid)

    assert (installation.status(pair), installation.refresh(pair)) == (401, 200)


def test_the_response_to_a_leaked_database_ends_all_sessions(installation):
    pair = installation.sign_in()

    output, _ = installation.run_block("leaked-database")

    assert re.search(r"Ended \d+ session\(s\)\.", output)
    assert (installation.status(pair), installation.refresh(pair)) == (401, 403)
    assert installation.status(installation.sign_in()) == 200


def test_every_documented_metric_is_published(installation):
    installation.sign_in()
    output, _ = installation.run_block("metrics")

    section = GUIDE.partition("**Metrics.**")[2].partition("Start with the alerts")[0]
    for name, labels in re.findall(r"`(auth_\w+)([^`]*)`", section):
        # Which applications there are is known with their first events only.
        assert name in output or "client_id" in labels, name


def test_the_health_check_succeeds_only_if_the_server_is_ready(installation):
    command = [sys.executable, str(ROOT / "deploy/healthcheck.py")]

    assert subprocess.run(command, env=installation.environment, check=False).returncode == 0
    without_server = {**installation.environment, "PORT": str(free_port())}
    assert subprocess.run(command, env=without_server, check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_a_secret_is_read_from_a_file(tmp_path):
    (tmp_path / "key").write_text("a secret of some length, and the end of its line\n")
    script = "from authproject.settings import SECRET_KEY; print(repr(SECRET_KEY))"

    def print_secret_key(path):
        variables = {**os.environ, "SECRET_KEY": "", "SECRET_KEY_FILE": str(path)}
        return subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )

    assert print_secret_key(tmp_path / "key").stdout == "'a secret of some length, and the end of its line'\n"
    assert "SECRET_KEY_FILE cannot be read" in print_secret_key(tmp_path / "none").stderr


COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_every_name_in_the_compose_file_is_declared_there():
    services = COMPOSE["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), name
        assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"]), name


def test_containers_are_read_only_without_capabilities_and_not_root():
    for name in ("auth", "migrate", "purge"):
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    assert re.findall(r"^USER (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE) == ["10001"]


def test_every_file_that_the_image_copies_exists_and_is_not_ignored():
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+)", dockerfile, re.MULTILINE)
    included = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert all((ROOT / path).exists() for path in copied)
    assert set(copied) == included
    assert "--require-hashes" in dockerfile


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", sorted(path.name for path in (ROOT / "deploy").glob("authproject*")))
def test_systemd_accepts_the_units(unit, tmp_path):
    for path in (ROOT / "deploy").glob("authproject*"):
        text = path.read_text().replace("/opt/authproject/.venv/bin/python", sys.executable)
        (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / unit)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_lists_the_alerts_of_the_file():
    alerts = re.findall(r"- alert: (\w+)", (ROOT / "deploy/alerts.yml").read_text())

    assert alerts == re.findall(r"^\| (Auth\w+) \|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed; CI installs it")
def test_the_alerts_fire_when_they_should_and_not_before():
    command = ["promtool", "test", "rules", "deploy/alerts_test.yml"]
    completed = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)

    assert completed.returncode == 0, completed.stdout + completed.stderr
