"""docs/existing-project.md: a new Django project that follows the page works as the page says."""

import os
import re
import subprocess
import sys
import time
from base64 import b32decode
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.conf import settings
from django.core.checks import run_checks
from django.test import override_settings

from tests.factories import PASSWORD
from tests.servers import ROOT, free_port

SETTINGS, URLS, VIEWS, MIDDLEWARE, ORDERS, RECEIVER, WSGI, DRAFTS, PAYOUTS, TESTS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs/existing-project.md").read_text(), re.DOTALL
)
COMMANDS = re.search(r"## Run it\n\n```sh\n(.*?)```", (ROOT / "docs/existing-project.md").read_text(), re.DOTALL)[
    1
]
ROLE = re.search(r"## Add a role\n.*?```sh\n(.*?)```", (ROOT / "docs/existing-project.md").read_text(), re.DOTALL)[
    1
]
ALICE = {"username": "alice", "password": PASSWORD}


class Project:
    """A new Django project named shop, set up as the page says."""

    def __init__(self, folder):
        self.folder = folder
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AUTH", "DJANGO", "DATABASE"))
        }
        self.environment = {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DJANGO_SUPERUSER_USERNAME": "root",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            "DJANGO_SUPERUSER_EMAIL": "root@example.com",
        }
        self.run("python -m django startproject shop .")
        with (folder / "shop/settings.py").open("a") as settings:
            settings.write(f"\n{SETTINGS}\n{MIDDLEWARE}")
        for name, text in (
            ("urls", URLS),
            ("views", VIEWS),
            ("wsgi", WSGI),
            ("drafts", DRAFTS),
            ("payouts", PAYOUTS),
            ("orders", f"{RECEIVER}\n{ORDERS}"),
        ):
            (folder / f"shop/{name}.py").write_text(text)
        with (folder / "shop/urls.py").open("a") as urls:
            urls.write(
                "\nfrom shop.drafts import Drafts\nurlpatterns.insert(0, path('drafts', Drafts.as_view()))\n"
                "from shop.payouts import Payouts\nurlpatterns.insert(0, path('payouts', Payouts.as_view()))\n"
                "from shop.orders import orders\nurlpatterns.insert(0, path('orders', orders))\n"
            )
        (folder / "shop/test_basket.py").write_text(TESTS)
        self.run(COMMANDS.replace("createsuperuser", "createsuperuser --noinput"))

    def run(self, commands):
        done = subprocess.run(
            ["sh", "-ec", commands],
            check=False,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def serve(self):
        port = free_port()
        return self._start(
            "-m", "granian", "--interface", "wsgi", "--port", str(port), "shop.wsgi:application"
        ), port

    def serve_with_command(self):
        port = free_port()
        served = f'from shop.settings import *\n\nHOST, PORT, WORKERS = "127.0.0.1", {port}, 1\n'
        (self.folder / "shop/served.py").write_text(served)
        return self._start("manage.py", "serve", "--settings", "shop.served"), port

    def _start(self, *arguments):
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("existing"))


@contextmanager
def running(project, process, port):
    """Wait until the server is ready, yield its URL, and stop it afterwards."""
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    try:
        while True:
            try:
                if httpx.get(f"{url}/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert process.poll() is None, (project.folder / "log").read_text()
            assert time.monotonic() < deadline, (project.folder / "log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def url(project):
    with running(project, *project.serve()) as url:
        httpx.post(f"{url}/api/auth/signup", json={**ALICE, "email": "alice@example.com"}).raise_for_status()
        yield url


@pytest.fixture
def pair(url):
    return httpx.post(f"{url}/api/auth/signin", json=ALICE).raise_for_status().json()


def bearer(pair):
    return {"Authorization": f"Bearer {pair['accessToken']}"}


def test_the_project_needs_no_migration_of_its_own(project):
    project.run("python manage.py makemigrations --check --dry-run")


def test_a_view_of_the_project_gets_the_user_and_roles(url, pair):
    response = httpx.get(f"{url}/basket", headers=bearer(pair))

    assert (response.status_code, response.json()) == (200, {"of": "alice", "roles": ["user"], "items": []})
    assert pair["expiresIn"] == 300


def test_a_plain_view_gets_the_user_of_the_token(url, pair):
    signed_in, anonymous = httpx.get(f"{url}/orders", headers=bearer(pair)), httpx.get(f"{url}/orders")

    assert (signed_in.json(), anonymous.status_code) == ({"of": "alice"}, 401)


def test_a_view_of_the_project_refuses_with_the_service_s_codes(url, pair):
    refused = [
        httpx.get(f"{url}/basket"),
        httpx.get(f"{url}/basket", headers={"Authorization": "Bearer x"}),
        httpx.delete(f"{url}/basket", headers=bearer(pair)),
    ]

    assert [(response.status_code, response.json()["code"]) for response in refused] == [
        (401, "token_missing"), (401, "token_invalid"), (403, "role_required"),
    ]  # fmt: skip


def test_refreshes_and_sign_outs_take_effect_in_the_project_s_views(url, pair):
    pair = httpx.post(f"{url}/api/auth/refreshtoken", json={"refreshToken": pair["refreshToken"]}).json()
    assert httpx.get(f"{url}/basket", headers=bearer(pair)).status_code == 200

    httpx.post(f"{url}/api/auth/signout", json={"refreshToken": pair["refreshToken"]}).raise_for_status()

    response = httpx.get(f"{url}/basket", headers=bearer(pair))
    assert (response.status_code, response.json()["code"]) == (401, "token_revoked")


def test_the_serve_command_serves_the_project(project, url, pair):
    with running(project, *project.serve_with_command()) as served:
        assert httpx.post(f"{served}/api/auth/signin", json=ALICE).status_code == 200
        assert httpx.get(f"{served}/basket", headers=bearer(pair)).status_code == 200


def test_a_view_that_requires_a_new_role_accepts_only_users_who_have_it(project, url, pair):
    refused = httpx.get(f"{url}/drafts", headers=bearer(pair))
    assert (refused.status_code, refused.json()["code"]) == (403, "role_required")

    project.run(ROLE)

    assert httpx.get(f"{url}/drafts", headers=bearer(pair)).json()["code"] == "token_stale"
    pair = httpx.post(f"{url}/api/auth/refreshtoken", json={"refreshToken": pair["refreshToken"]}).json()
    assert httpx.get(f"{url}/drafts", headers=bearer(pair)).json() == []
    project.run("python manage.py revokerole alice editor")


def test_a_view_that_requires_a_second_factor_accepts_only_tokens_with_one(url):
    user = {"username": "dora", "password": PASSWORD}
    httpx.post(f"{url}/api/auth/signup", json={**user, "email": "dora@example.com"}).raise_for_status()
    pair = httpx.post(f"{url}/api/auth/signin", json=user).json()
    refused = httpx.get(f"{url}/payouts", headers=bearer(pair))
    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")

    app = httpx.post(f"{url}/api/auth/factors/totp", json={}, headers=bearer(pair)).json()
    code = TOTP(b32decode(app["secret"]), 6, SHA1(), 30).generate(int(time.time())).decode()
    body = {"id": app["id"], "code": code}
    httpx.post(f"{url}/api/auth/factors/totp/confirm", json=body, headers=bearer(pair)).raise_for_status()
    pair = httpx.post(f"{url}/api/auth/refreshtoken", json={"refreshToken": pair["refreshToken"]}).json()

    assert httpx.get(f"{url}/payouts", headers=bearer(pair)).json() == {"amr": ["pwd", "otp", "mfa"]}


def test_the_tests_on_the_page_pass_in_the_project(project):
    output = project.run("python -m pytest --ds=shop.settings -p no:randomly --rootdir . shop/test_basket.py")

    assert "2 passed" in output


def test_a_change_with_cookies_requires_the_csrf_token(project, url):
    bob = {**ALICE, "username": "bob", "email": "bob@example.com"}
    httpx.post(f"{url}/api/auth/signup", json=bob).raise_for_status()
    project.run("python manage.py grantrole bob moderator")
    response = httpx.post(f"{url}/api/auth/signin", json={**bob, "useCookies": True})
    cookies = "; ".join(f"{name}={value}" for name, value in response.cookies.items())
    csrf = response.cookies["csrftoken"]

    refused = httpx.delete(f"{url}/basket", headers={"Cookie": cookies})
    passed = httpx.delete(f"{url}/basket", headers={"Cookie": cookies, "X-CSRFToken": csrf})

    assert (refused.status_code, refused.json()["code"], passed.status_code) == (403, "csrf_failed", 204)


def test_the_schema_describes_the_service_and_the_project(url):
    paths = httpx.get(f"{url}/api/schema", headers={"Accept": "application/json"}).json()["paths"]

    assert {"/basket", "/api/auth/signin"} <= set(paths)
    assert httpx.get(f"{url}/api/docs").status_code == 200


def sign_in_to_the_admin(http, password):
    token = http.get("/admin/login/").cookies["csrftoken"]
    form = {"username": "root", "password": password, "csrfmiddlewaretoken": token, "next": "/admin/"}
    return http.post("/admin/login/", data=form)


def test_the_admin_lists_sessions_and_limits_failed_sign_ins(url, pair):
    with httpx.Client(base_url=url) as http:
        assert sign_in_to_the_admin(http, PASSWORD).status_code == 302
        assert "alice" in http.get("/admin/accounts/refreshtoken/").text

    with httpx.Client(base_url=url) as http:
        pages = [sign_in_to_the_admin(http, "wrong").text for _ in range(11)]
    assert "Too many attempts" in pages[-1]


def test_a_receiver_of_the_project_learns_of_sign_ins(project, url, pair):
    assert "hello alice" in (project.folder / "log").read_text()


def test_security_events_are_logged(project, url, pair):
    assert "sign_in:succeeded" in (project.folder / "log").read_text()


@pytest.mark.parametrize(
    ("setting", "check"),
    [
        ({"USE_TZ": False}, "accounts.E001"),
        ({"AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"]}, "accounts.W001"),
    ],
)
def test_unsuitable_settings_are_reported_by_a_check(setting, check):
    with override_settings(**setting):
        assert check in {message.id for message in run_checks()}


def test_atomic_requests_are_reported_by_a_check(monkeypatch):
    monkeypatch.setitem(settings.DATABASES["default"], "ATOMIC_REQUESTS", value=True)

    assert "accounts.E002" in {message.id for message in run_checks()}


def test_an_admin_without_limits_is_reported_by_a_check(project):
    output = project.run(
        "sed s/authproject.apps.AuthAdminConfig/django.contrib.admin/ shop/settings.py > shop/plain.py;"
        "DJANGO_SETTINGS_MODULE=shop.plain python manage.py check 2>&1 || true"
    )
    assert "accounts.E003" in output


def test_a_missing_exception_handler_is_reported_by_a_check(project):
    output = project.run(
        "sed '/EXCEPTION_HANDLER/d' shop/settings.py > shop/silent.py;"
        "DJANGO_SETTINGS_MODULE=shop.silent python manage.py check 2>&1 || true"
    )
    assert "api.W001" in output
