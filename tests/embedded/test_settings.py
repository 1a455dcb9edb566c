"""The API in projects whose settings for all views and all models differ from those of this service."""

import json

import pytest

from tests.embedded.projects import EmbeddedProject

HOSTILE = """
REST_FRAMEWORK |= {
    "DEFAULT_RENDERER_CLASSES": ["shop.hostile.Renderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.FileUploadParser"],
    "DEFAULT_THROTTLE_CLASSES": ["shop.hostile.NoMore"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
    "DEFAULT_VERSION": "7",
    "ALLOWED_VERSIONS": ["8"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
    "DEFAULT_FILTER_BACKENDS": ["rest_framework.filters.SearchFilter"],
    "EXCEPTION_HANDLER": "shop.hostile.handle",
    "UNAUTHENTICATED_USER": None,
    "NON_FIELD_ERRORS_KEY": "detail",
    "DATETIME_FORMAT": "%d.%m.%Y",
    "PAGE_SIZE": 1,
}
TIME_ZONE = "Europe/Berlin"
LANGUAGE_CODE = "de"
APPEND_SLASH = True
MIDDLEWARE.insert(2, "django.middleware.locale.LocaleMiddleware")
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
"""
HOSTILE_CLASSES = """
from rest_framework.renderers import BaseRenderer
from rest_framework.throttling import BaseThrottle


class Renderer(BaseRenderer):
    media_type = "text/plain"

    def render(self, *arguments, **options):
        return b"hostile"


class NoMore(BaseThrottle):
    def allow_request(self, request, view):
        return False


def handle(error, context):
    raise error
"""
CALLS = """
import django, json
django.setup()
from django.test import Client

http = Client()
account = {"username": "alice", "email": "alice@example.com", "password": "correct horse battery"}
post = lambda path, body: http.post(path, json.dumps(body), content_type="application/json")
statuses = [post("/api/auth/signup", account).status_code]
pair = post("/api/auth/signin", account).json()
http.defaults["HTTP_AUTHORIZATION"] = "Bearer " + pair["accessToken"]
sessions = http.get("/api/auth/sessions/")
statuses.append(post("/api/auth/refreshtoken", pair).status_code)
refused = post("/api/auth/signin", ["not an object"]).json()
form = http.post("/api/auth/signin", "username=alice&password=x", content_type="application/x-www-form-urlencoded")
statuses += [sessions.status_code, form.status_code, http.get("/api/auth/me").status_code]
statuses += [http.get("/api/schema").status_code, http.get("/api/docs").status_code]
print(json.dumps({"statuses": statuses, "time": sessions.json()[0]["createdAt"], "errors": list(refused["errors"])}))
"""
ASYNC_CALLS = """
import asyncio, django, json
django.setup()
from django.contrib.sessions.models import Session
from django.test import AsyncClient
from accounts.admin.session_store import SessionStore

async def main():
    http = AsyncClient()
    account = {"username": "async", "email": "async@example.com", "password": "correct horse battery"}
    json_type = "application/json"
    signed_up = await http.post("/api/auth/signup", json.dumps(account), content_type=json_type)
    signed_in = await http.post("/api/auth/signin", json.dumps(account), content_type=json_type)
    token = {"authorization": "Bearer " + signed_in.json()["accessToken"]}
    read = await http.get("/api/auth/me", headers=token)
    deleted = await http.delete("/api/auth/me", headers=token)
    store = SessionStore()
    await store.aset("shade", "blue")
    await store.acreate()
    assert not await Session.objects.filter(session_key=store.session_key).aexists()
    assert await store.aexists(store.session_key)
    assert await SessionStore(store.session_key).aget("shade") == "blue"
    await store.adelete()
    assert not await Session.objects.aexists()
    print(signed_up.status_code, signed_in.status_code, read.status_code, deleted.status_code)

asyncio.run(main())
"""

CALLS_BELOW_A_PATH = """
import django, json, re, time
django.setup()
from django.core import mail
from django.test import Client
from django.test.utils import setup_test_environment
from accounts.history import background
setup_test_environment()
background.MAIL._delay = 0

http = Client(SCRIPT_NAME="/shop")
account = {"username": "alice", "email": "alice@example.com", "password": "correct horse battery"}
post = lambda path, body: http.post(path, json.dumps(body), content_type="application/json")
assert post("/api/auth/signup", account).status_code == 201
cookies = post("/api/auth/signin", account | {"useCookies": True}).cookies
deadline = time.monotonic() + 30
while not mail.outbox and time.monotonic() < deadline:
    time.sleep(0.01)
keys = http.get("/.well-known/oauth-authorization-server").json()["jwks_uri"]
links = [link for message in mail.outbox for link in re.findall(r"https://[^#\\s]+", message.body)]
paths = [next(c["path"] for name, c in cookies.items() if kind in name) for kind in ("refresh", "access")]
print(json.dumps([keys, *paths, links]))
"""
LOGGING_OF_A_PROJECT = """
LOGGING = {
    "version": 1,
    "disable_existing_loggers": True,
    "formatters": {"own": {"format": "%(tenant)s %(name)s %(levelname)s %(message)s"}},
    "filters": {"tenant": {"()": "shop.logs.AddTenant"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "own", "filters": ["tenant"]}},
    "root": {"handlers": ["console"], "level": "DEBUG"},
}
"""
LOG_CLASSES = """
import logging


class AddTenant(logging.Filter):
    def filter(self, record):
        record.tenant = "tenant"
        record.msg = str(record.msg)
        return True
"""


WITHOUT_ADMIN = """
PAGES = ("authproject.apps.AuthAdminConfig", "django.contrib.sessions", "django.contrib.messages")
INSTALLED_APPS = [app for app in INSTALLED_APPS if app not in PAGES]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
"""
API_URLS = """
from django.urls import include, path

urlpatterns = [path("", include("api.urls"))]
"""
DELETION = """
import django, json
django.setup()
from django.test import Client

http = Client()
account = {"username": "alice", "email": "alice@example.com", "password": "correct horse battery"}
post = lambda path: http.post(path, json.dumps(account), content_type="application/json")
statuses = [post("/api/auth/signup").status_code]
token = {"authorization": "Bearer " + post("/api/auth/signin").json()["accessToken"]}
statuses += [call("/api/auth/me", headers=token).status_code for call in (http.get, http.delete, http.get)]
print(*statuses)
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    project = EmbeddedProject(tmp_path_factory.mktemp("hostile"), HOSTILE, hostile=HOSTILE_CLASSES)
    project.manage("migrate", "--verbosity", "0")
    return project


def test_no_setting_for_all_views_changes_the_api(hostile):
    result = json.loads(hostile.run("-c", CALLS))

    assert result["statuses"] == [201, 200, 200, 401, 200, 200, 200]
    assert result["time"].endswith("Z")
    assert result["errors"] == ["body"]


def test_the_api_and_the_session_store_work_under_asgi(hostile):
    assert hostile.run("-c", ASYNC_CALLS).split() == ["201", "200", "200", "204"]


def test_a_project_needs_neither_the_admin_nor_sessions(tmp_path):
    project = EmbeddedProject(tmp_path, WITHOUT_ADMIN, urls=API_URLS)
    project.manage("migrate", "--verbosity", "0")

    assert "no issues" in project.check()
    assert project.run("-c", DELETION).split() == ["201", "200", "204", "401"]


def test_a_project_below_a_path_has_addresses_and_cookies_that_lead_there(tmp_path):
    settings = 'FORCE_SCRIPT_NAME = "/shop"\nAUTH |= {"issuer": "https://example.com/shop"}\n'
    settings += (
        'AUTH["public_url"] = AUTH["issuer"]\nEMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"\n'
    )
    project = EmbeddedProject(tmp_path, settings)
    project.manage("migrate", "--verbosity", "0")

    keys, refresh_path, access_path, links = json.loads(project.run("-c", CALLS_BELOW_A_PATH))

    assert keys == "https://example.com/shop/.well-known/jwks.json"
    assert (refresh_path, access_path) == ("/shop/api/auth", "/")
    assert links == ["https://example.com/shop/verify-email"]
    assert "api.W003" not in project.attempt("manage.py", "check", "--deploy").stderr


def test_records_survive_the_formatters_and_filters_of_a_project(tmp_path):
    project = EmbeddedProject(tmp_path, LOGGING_OF_A_PROJECT, logs=LOG_CLASSES)
    project.manage("migrate", "--verbosity", "0")

    done = project.attempt("-c", CALLS)

    assert json.loads(done.stdout)["statuses"][:2] == [201, 200]
    assert "tenant accounts" in done.stderr
    assert "user:registered" in done.stderr
    assert "Logging error" not in done.stderr


def test_another_default_auto_field_needs_no_migration(hostile):
    assert "No changes detected" in hostile.manage("makemigrations", "--check", "--dry-run")


@pytest.mark.parametrize(
    ("settings", "check"),
    [
        ('AUTH_USER_MODEL = "auth.User"', "accounts.E006"),
        ('REST_FRAMEWORK["DEFAULT_SCHEMA_CLASS"] = "rest_framework.schemas.openapi.AutoSchema"', "api.E002"),
        ('SPECTACULAR_SETTINGS = {"TITLE": "Shop"}', "api.W002"),
        ('MIDDLEWARE.insert(0, "api.middleware.AccessTokenMiddleware")', "api.W004"),
    ],
)
def test_settings_that_break_the_api_are_reported_by_a_check(tmp_path, settings, check):
    assert check in EmbeddedProject(tmp_path, settings).check()


def test_the_documented_place_of_the_middleware_is_not_reported(tmp_path):
    assert (
        "no issues" in EmbeddedProject(tmp_path, 'MIDDLEWARE += ["api.middleware.AccessTokenMiddleware"]').check()
    )


@pytest.mark.parametrize("model", ["auth.User", "shop.Person"])
def test_another_user_model_is_reported_by_one_check(tmp_path, model):
    own = "from django.contrib.auth.models import AbstractUser\n\n\nclass Person(AbstractUser):\n    pass\n"
    settings = f'AUTH_USER_MODEL = "{model}"'
    if model == "shop.Person":
        settings += '\nINSTALLED_APPS += ["shop"]'
    reported = EmbeddedProject(tmp_path, settings, models=own).check()

    assert "accounts.E006" in reported
    assert "System check identified 1 issue" in reported


def test_a_database_with_users_of_django_is_reported_before_it_is_migrated(tmp_path):
    project = EmbeddedProject(tmp_path)
    stock = 'from shop.settings import *\nAUTH_USER_MODEL = "auth.User"\n'
    stock += 'INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]\nROOT_URLCONF = ""\n'
    (tmp_path / "shop/stock.py").write_text(stock)
    project.run("-m", "django", "migrate", "--settings", "shop.stock", "--skip-checks")

    migrated = project.attempt("manage.py", "migrate")

    assert migrated.returncode == 1
    assert "accounts.E007" in migrated.stderr
