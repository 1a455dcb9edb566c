"""Send requests to a WSGI application in this process; `benchmarks.instructions` counts what they cost.

    python -m benchmarks.in_process DATABASE_FILE REQUESTS,... CASE ...

DJANGO_SETTINGS_MODULE selects the project. Each case and number of requests runs in a child of its own, which starts with the
same memory and the same database, so that two children differ in nothing but the number of requests. Prints, for each child,
the case, the number and the process id.
"""

import gc
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from accounts.conf import auth_settings
from accounts.passwords.hashers import OwaspArgon2idHasher

PASSWORD = "correct horse battery"
WARM_UP = 20
Send = Callable[[], object]


class Client:
    """Calls a WSGI application as a server does, with the headers of a small client."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._status = ""

    def get(self, path: str, authorization: str = "") -> bytes:
        headers = {"HTTP_AUTHORIZATION": authorization} if authorization else {}
        return self._send({"REQUEST_METHOD": "GET", "PATH_INFO": path, "CONTENT_LENGTH": "0", **headers}, b"")

    def post(self, path: str, **fields: str) -> dict[str, Any]:
        body = json.dumps(fields).encode()
        length = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))}
        return json.loads(self._send({"REQUEST_METHOD": "POST", "PATH_INFO": path, **length}, body))

    def _send(self, environ: dict[str, Any], body: bytes) -> bytes:
        parts = self._application({**ENVIRON, **environ, "wsgi.input": io.BytesIO(body)}, self._start_response)
        text = b"".join(parts)
        parts.close()
        if not self._status.startswith("200"):
            raise SystemExit(f"{environ['PATH_INFO']}: {self._status} {text.decode()}")
        return text

    def _start_response(self, status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
        self._status = status


ENVIRON = {
    "SCRIPT_NAME": "", "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8000",
    "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.errors": sys.stderr, "wsgi.multithread": True,
    "wsgi.multiprocess": True, "wsgi.run_once": False,
}  # fmt: skip


def get(path: str) -> Callable[[Client], Send]:
    """Return a case that gets a page without authentication."""
    return lambda client: lambda: client.get(path)


def post(path: str, **fields: str) -> Callable[[Client], Send]:
    """Return a case that posts the same fields again and again."""
    return lambda client: lambda: client.post(path, **fields)


def protected(path: str, sign_in: str, token: str) -> Callable[[Client], Send]:
    """Return a case that gets a page with an access token."""

    def start(client: Client) -> Send:
        authorization = f"Bearer {client.post(sign_in, username='alice0', password=PASSWORD)[token]}"
        return lambda: client.get(path, authorization)

    return start


def refresh(path: str, sign_in: str, field: str) -> Callable[[Client], Send]:
    """Return a case that refreshes, each time with the token of the previous response."""

    def start(client: Client) -> Send:
        token = client.post(sign_in, username="alice0", password=PASSWORD)[field]

        def send() -> None:
            nonlocal token
            token = client.post(path, **{field: token})[field]

        return send

    return start


class Case(NamedTuple):
    """What is requested: the project that serves it, and the minimal view that does what cannot be saved.

    `start` signs in, if needed, and returns a function that sends one request. The project is this one if `peer` is empty.
    """

    peer: str
    floor: str
    start: Callable[[Client], Send]


CASES = {
    "DRF view": Case("simplejwt", "DRF view", get("/floor/drf")),
    "SELECT": Case("simplejwt", "DRF view", get("/floor/select")),
    "UPDATE": Case("simplejwt", "UPDATE", post("/floor/update", refresh="alice0")),
    "protected, lag 60": Case("", "DRF view", protected("/api/test/admin", "/api/auth/signin", "accessToken")),
    "protected, lag 0": Case("", "DRF view", protected("/api/test/admin", "/api/auth/signin", "accessToken")),
    "simplejwt protected": Case("simplejwt", "DRF view", protected("/protected", "/signin", "access")),
    "simplejwt stateless": Case("simplejwt", "DRF view", protected("/protected/stateless", "/signin", "access")),
    "refresh": Case("", "UPDATE", refresh("/api/auth/refreshtoken", "/api/auth/signin", "refreshToken")),
    "simplejwt refresh": Case("simplejwt", "UPDATE", refresh("/refresh", "/signin", "refresh")),
    "sign-in": Case("", "UPDATE", post("/api/auth/signin", username="alice0", password=PASSWORD)),
    "simplejwt sign-in": Case("simplejwt", "UPDATE", post("/signin", username="alice0", password=PASSWORD)),
}


def main(database: Path, numbers: list[int], cases: list[str]) -> None:
    shutil.copy(database, template_of(database))
    client = Client(load_application())
    children = []
    for case in cases:
        for number in numbers:
            pid = os.fork()
            if not pid:
                restore(database)
                run(client, case, number)
                os._exit(0)
            if os.waitpid(pid, 0)[1]:
                raise SystemExit(f"{case} failed")
            children.append((case, number, pid))
    for child in children:
        print(json.dumps(child))


def template_of(database: Path) -> Path:
    return database.with_suffix(".template")


def restore(database: Path) -> None:
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink()
    shutil.copy(template_of(database), database)


def load_application() -> Any:
    """Load the project as a server does before it forks, without garbage collection.

    Collections add some 4 %. When they happen depends on every allocation before, so a small change would look like 2 %.
    """
    application = get_wsgi_application()
    if "accounts" in settings.INSTALLED_APPS:
        from authproject.wsgi import application  # with its wrappers
    get_resolver().url_patterns  # noqa: B018  loads the URL configuration
    remove_chance()
    gc.disable()
    return application


def remove_chance() -> None:
    """Replace what costs more on a slow machine, or too much under valgrind, by what costs the same every time."""
    Argon2PasswordHasher.verify = OwaspArgon2idHasher.verify = lambda self, password, encoded: True
    if "accounts" in settings.INSTALLED_APPS:
        from accounts.keys import key_ring, rotation

        key_ring.key_ring()  # creates the first key
        # The folder of keys is checked every 20 ms: with one request of a hundred, but with every one under valgrind.
        rotation.RELOAD_INTERVAL = 3600


def run(client: Client, case: str, number: int) -> None:
    if case.endswith("lag 60"):
        settings.AUTH["revocation_lag"] = timedelta(seconds=60)
        auth_settings.cache_clear()
    send = CASES[case].start(client)
    for _ in range(WARM_UP + number):
        send()


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(number) for number in sys.argv[2].split(",")], sys.argv[3:])
