"""Fixtures for all tests: the API client, the clock, settings, users, emails, events, servers and a browser."""

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from hypothesis import settings as hypothesis_settings

from accounts.conf import AuthSettings
from accounts.history.background import BackgroundQueue
from accounts.keys import rotation as key_rotation
from accounts.models import User
from accounts.tokens.access_tokens import verify
from accounts.tokens.claims import AccessClaims
from tests.documented import DocumentedClient
from tests.environment import FOLDER, ON_POSTGRESQL
from tests.factories import PASSWORD, make_administrator, make_user
from tests.servers import Server, environment

# Generate the same examples in each run, so that a failure in CI can be reproduced locally.
hypothesis_settings.register_profile("same", derandomize=True, database=None, deadline=None, print_blob=True)
hypothesis_settings.load_profile("same")

SPAN_SETTINGS = {name for name, default in AuthSettings.__annotations__.items() if default is dt.timedelta}


@pytest.fixture(scope="module")
def start_server(
    tmp_path_factory: Any, django_db_setup: None, django_db_blocker: Any
) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server with the given environment variables.

    At the end of the module, each server must stop with exit code 0.
    """
    running: list[Server] = []

    def start(**variables: str) -> Server:
        folder = tmp_path_factory.mktemp("served")
        running.append(Server(environment(folder, django_db_blocker, **variables), folder / "log"))
        return running[-1]

    yield start
    for server in running:
        assert server.stop() == 0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from tests.browsers import running_chromium  # noqa: PLC0415  imports Playwright only for tests with a browser

    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Use a SQLite file, because an in-memory database does not support concurrent connections."""
    if not ON_POSTGRESQL:
        connection.settings_dict["TEST"]["NAME"] = str(FOLDER / "test.sqlite3")


@pytest.fixture(autouse=True)
def _database_transaction(db: None) -> None:
    """Run every test in a transaction that is rolled back."""


@pytest.fixture(autouse=True)
def _background_jobs_run_immediately(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run background jobs immediately, because another thread cannot see the uncommitted rows of a test."""
    monkeypatch.setattr(BackgroundQueue, "after_commit", lambda self, job, *args, **options: job(*args, **options))


@pytest.fixture(autouse=True)
def _key_folder_is_checked_on_every_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the key folder for changes on every use, because a test does not wait for the interval."""
    monkeypatch.setattr(key_rotation, "RELOAD_INTERVAL", 0)


@pytest.fixture
def fast_password_hasher(settings: Any) -> None:
    """Hash passwords with MD5, for tests with hundreds of sign-ups."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


class Clock:
    """The time for Django, the JWT library and the limits. It changes only with `advance()`."""

    def __init__(self, traveller: Any) -> None:
        self._traveller = traveller

    def advance(self, **span: float) -> None:
        self._traveller.shift(dt.timedelta(**span))


@pytest.fixture
def clock() -> Iterator[Clock]:
    start = dt.datetime.now(dt.UTC).replace(microsecond=0)
    with time_machine.travel(start, tick=False) as traveller:
        yield Clock(traveller)


@pytest.fixture
def override_auth(settings: Any) -> Callable[..., None]:
    """Return a function that overrides settings of the service for one test. Durations are in seconds.

    It uses the fixture `settings`, which undoes all changes in reverse order. Two fixtures that each undo their own
    would leave one of them in force in later tests.
    """

    def override(**values: Any) -> None:
        spans = {
            name: dt.timedelta(seconds=value) if name in SPAN_SETTINGS else value for name, value in values.items()
        }
        settings.AUTH = {**settings.AUTH, **spans}

    return override


class Api:
    """A client of the API."""

    def __init__(self, **headers: str) -> None:
        self.http = DocumentedClient(**headers)

    def get(self, path: str, token: str | None = None, **headers: str) -> Any:
        return self.http.get(path, headers={**_bearer(token), **headers})

    def post(self, path: str, body: Any = None, token: str | None = None, **headers: str) -> Any:
        return self.http.post(
            path, body if body is not None else {}, "application/json", headers={**_bearer(token), **headers}
        )

    def patch(self, path: str, body: Any, token: str | None = None, **headers: str) -> Any:
        return self.http.patch(path, body, "application/json", headers={**_bearer(token), **headers})

    def delete(self, path: str, token: str | None = None, **headers: str) -> Any:
        return self.http.delete(path, headers={**_bearer(token), **headers})

    def sign_up(self, username: str, password: str = PASSWORD, **fields: Any) -> Any:
        body = {"username": username, "email": f"{username}@example.com", "password": password, **fields}
        return self.post("/api/auth/signup", body)

    def sign_in(self, username: str, password: str = PASSWORD) -> Any:
        return self.post("/api/auth/signin", {"username": username, "password": password})

    def refresh(self, refresh_token: str) -> Any:
        return self.post("/api/auth/refreshtoken", {"refreshToken": refresh_token})


def _bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


class SignedIn(Api):
    """A client that is signed in."""

    def __init__(self, username: str, **headers: str) -> None:
        super().__init__(**headers)
        response = self.sign_in(username)
        assert response.status_code == 200, response.content
        self.access_token: str = response.json()["accessToken"]
        self.refresh_token: str = response.json()["refreshToken"]

    @property
    def claims(self) -> AccessClaims:
        return verify(self.access_token, at=dt.datetime.now(dt.UTC))

    def activity(self) -> list[dict[str, Any]]:
        response = self.get("/api/auth/activity", self.access_token)
        assert response.status_code == 200, response.content
        return list(response.json())

    def content(self, name: str = "user") -> Any:
        return self.get(f"/api/test/{name}", self.access_token)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def signed_in(clock: Clock) -> SignedIn:
    return SignedIn(make_user().username)


@pytest.fixture
def administrator() -> User:
    return make_administrator()


@pytest.fixture
def admin_client(administrator: User) -> Client:
    """Return a client that is signed in to the admin as an administrator."""
    browser = Client()
    browser.force_login(administrator)
    return browser


@pytest.fixture
def mailed_token(mailoutbox: list[Any]) -> Callable[[], str]:
    """Return a function that returns the token in the link of the latest email."""
    return lambda: mailoutbox[-1].body.partition("#token=")[2].split()[0]


@pytest.fixture
def assert_refused() -> Callable[..., None]:
    def check(response: Any, status: int, code: str) -> None:
        assert (response.status_code, response.json()["code"]) == (status, code), response.content
        assert response.json()["message"]

    return check


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that returns the log records of security events so far."""
    caplog.set_level(logging.INFO, "accounts.events")
    return lambda: [vars(record) for record in caplog.records if record.name == "accounts.events"]
