"""compose.yaml, Dockerfile and docs/operations.md: the files are valid, and the documented commands work with their settings.

No Docker is needed. Compose resolves the environment of each service, and the commands run in a copy of the image's
files, on the database of the tests.
"""

import ast
import importlib.metadata
import importlib.util
import ipaddress
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

from tests.factories import PASSWORD
from tests.servers import ROOT, environment, free_port

GUIDE = (ROOT / "docs/operations.md").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
SHELL = "\n".join(re.findall(r"^ *```sh[^\n]*\n(.*?)^ *```", GUIDE, re.MULTILINE | re.DOTALL))
[SETUP] = re.findall(r"```sh\n(cp deploy/auth.env.example .*?)```", GUIDE, re.DOTALL)
IN_CONTAINERS = sorted(set(re.findall(r"docker compose (?:exec|run --rm) ([^`\n#]+)", GUIDE)))
ADMINISTRATOR = {f"DJANGO_SUPERUSER_{name}": value for name, value in {
    "USERNAME": "root", "EMAIL": "root@example.com", "PASSWORD": PASSWORD,
}.items()}  # fmt: skip


def find_compose():
    """Return the command that runs Docker Compose: the one of the test requirements, or the machine's."""
    module = importlib.util.find_spec("compose")
    packaged = Path(module.origin).with_name("docker-compose") if module else Path("docker-compose")
    if packaged.exists():
        return [str(packaged)]
    installed = shutil.which("docker-compose")
    return [installed] if installed else None


DOCKER_COMPOSE = find_compose()
needs_compose = pytest.mark.skipif(
    DOCKER_COMPOSE is None, reason="docker-compose is packaged for Python 3.11 on Linux (x86_64) only"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a folder with the files that compose.yaml needs, prepared by the commands of the page."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "deploy").mkdir()
    for name in ("compose.yaml", "Dockerfile", "deploy/Caddyfile", "deploy/auth.env.example"):
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["bash", "-euc", SETUP], cwd=folder, check=True)
    return folder


def resolve(folder):
    """Return the services as Compose sees them in `folder`, or fail with its message."""
    done = subprocess.run(
        [*DOCKER_COMPOSE, "--profile", "*", "config", "--format", "json"],
        cwd=folder, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Return a folder with the files that the Dockerfile copies."""
    folder = tmp_path_factory.mktemp("image")
    for source, target in re.findall(r"^COPY (?!--from)(\S+) (\S+)$", DOCKERFILE, re.MULTILINE):
        destination = folder / source if target == "." else folder / target
        destination.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / source, destination, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / source, destination)
    return folder


@pytest.fixture(scope="module")
def run(project, image, tmp_path_factory, django_db_setup, django_db_blocker):
    """Return a function that runs `SERVICE COMMAND` as Compose would, on an empty database of the tests."""
    database = environment(tmp_path_factory.mktemp("database"), django_db_blocker)["DATABASE_URL"]
    mail_server = Controller(Sink(), hostname="127.0.0.1", port=free_port())
    mail_server.start()
    secrets = project / "deploy/secrets"
    for name, value in (("database_url", database), ("email_url", f"smtp://127.0.0.1:{mail_server.port}")):
        (secrets / name).unlink()
        (secrets / name).write_text(value)
    services = resolve(project)

    def run(line):
        service, *command = shlex.split(line)
        variables = {
            name: value.replace("/run/secrets", str(secrets))
            for name, value in services[service]["environment"].items()
        }
        command = command or services[service]["command"]
        assert command[0] == "python"
        return subprocess.run(
            [sys.executable, *command[1:]],
            cwd=image,
            env={**variables, **ADMINISTRATOR, "CACHE_URL": "", "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    # As the build of the image, and the service that the others wait for.
    assert run("migrate python manage.py collectstatic --noinput --verbosity 0").returncode == 0
    migrated = run("migrate")
    assert migrated.returncode == 0, migrated.stderr
    yield run
    mail_server.stop()


@needs_compose
@pytest.mark.parametrize("line", IN_CONTAINERS)
def test_the_documented_command_succeeds_with_the_files_and_settings_of_its_container(run, line):
    placeholder = line.endswith("python manage.py")
    command = "auth python manage.py check" if placeholder else line
    done = run(command + " --noinput" * ("createsuperuser" in command))

    assert done.returncode == 0, (line, done.stderr)


def test_the_page_runs_commands_in_containers():
    assert {line.split()[0] for line in IN_CONTAINERS} == {"auth", "purge"}
    assert set(re.findall(r"docker compose (\w+)", SHELL)) == {"build", "exec", "pull", "run", "up"}


@needs_compose
def test_the_prepared_files_are_a_valid_project_without_any_variable_of_the_shell(project):
    assert set(resolve(project)) == set(SERVICES)


@needs_compose
def test_every_setting_of_the_file_reaches_the_service_but_not_where_the_secrets_and_the_server_are(
    project, tmp_path
):
    shutil.copytree(project, tmp_path / "other")
    with (tmp_path / "other/.env").open("a") as file:
        file.write("AUTH_SIGNUP=closed\nSECRET_KEY_FALLBACKS='a $key'\nPORT=9000\nHOST=127.0.0.1\nWORKERS=3\n")

    services = resolve(tmp_path / "other")

    for name in ("auth", "migrate", "purge"):
        variables = services[name]["environment"]
        assert (variables["AUTH_SIGNUP"], variables["SECRET_KEY_FALLBACKS"].replace("$$", "$")) == (
            "closed",
            "a $key",
        )
        assert (variables["WORKERS"], variables["PORT"], variables["HOST"]) == ("3", "8000", "0.0.0.0")
    assert services["auth"]["ports"][0]["published"] == "9000"
    assert services["proxy"]["environment"] == {"PUBLIC_URL": "https://auth.example.com"}


@needs_compose
def test_a_name_that_compose_does_not_know_is_refused(project, tmp_path):
    shutil.copytree(project, tmp_path / "other")
    path = tmp_path / "other/compose.yaml"
    path.write_text(path.read_text().replace("read_only:", "readonly:"))

    with pytest.raises(AssertionError, match="readonly"):
        resolve(tmp_path / "other")


def test_every_container_gains_no_privileges_and_rotates_its_log():
    for name, service in SERVICES.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["driver"] == "json-file", name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name


def test_only_the_proxy_is_published_beyond_this_machine_and_nothing_publishes_metrics():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {
        "auth": ["127.0.0.1:${PORT:-8000}:8000"],
        "proxy": ["0.0.0.0:80:80", "0.0.0.0:443:443"],
    }
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if "edge" not in service["networks"]} == {
        "database",
        "cache",
    }


def test_the_service_trusts_the_address_of_the_proxy_which_no_other_container_can_get():
    [network] = COMPOSE["networks"]["edge"]["ipam"]["config"]
    proxy = SERVICES["proxy"]["networks"]["edge"]["ipv4_address"]
    example = (ROOT / "deploy/auth.env.example").read_text()

    assert f"\nAUTH_TRUSTED_PROXIES={proxy}\n" in example
    assert ipaddress.ip_address(proxy) in ipaddress.ip_network(network["subnet"])
    assert ipaddress.ip_address(proxy) not in ipaddress.ip_network(network["ip_range"])
    assert f"`AUTH_TRUSTED_PROXIES={network['gateway']}`" in GUIDE


def test_every_image_is_pinned_by_a_tag_with_a_version():
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    images += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert len(images) == 5
    assert [name for name in images if not re.fullmatch(r"[a-z/]+:\d[\w.-]*", name)] == []


def test_every_package_that_the_service_imports_is_installed_in_the_image():
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    local = {"accounts", "api", "authproject"}
    distributions = importlib.metadata.packages_distributions()

    for folder in local:
        for path in (ROOT / folder).rglob("*.py"):
            for name in imported(path) - local - sys.stdlib_module_names:
                names = {re.sub(r"[-_.]+", "-", known).lower() for known in distributions[name]}
                assert names & pinned, (path, name)


def imported(path):
    """Return the top-level packages that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names
