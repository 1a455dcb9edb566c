"""No log holds a secret, however loud it is: passwords, tokens, mailed tokens, keys and digests are looked for."""

import base64
import hashlib
import re
import sqlite3
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from tests.environment import ON_POSTGRESQL
from tests.factories import PASSWORD
from tests.history.test_mail_server import Mailbox, SlowHandler
from tests.servers import Server, environment, free_port, wait_until

NEW_PASSWORD = "another staple of horses"
WRONG_PASSWORD = "a password that is wrong"


@pytest.fixture(scope="module")
def mailbox():
    return Mailbox()


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_setup, django_db_blocker, mailbox):
    folder = tmp_path_factory.mktemp("loud")
    controller = Controller(SlowHandler(mailbox), hostname="127.0.0.1", port=free_port())
    controller.start()
    settings = environment(
        folder,
        django_db_blocker,
        DJANGO_SETTINGS_MODULE="tests.loud_settings",
        EMAIL_URL=f"smtp://127.0.0.1:{controller.port}",
        PYTHONASYNCIODEBUG="1",
    )
    running = Server(settings, folder / "log")
    yield running
    assert running.stop() == 0
    controller.stop()


def mailed(mailbox):
    while True:
        found = re.search(r"#token=(\S+)", mailbox.mails.get(timeout=30).get_body(("plain",)).get_content())
        if found:
            return found[1]


class Person:
    """Somebody who does all there is to do, and remembers each secret that was sent or received."""

    def __init__(self, server, name):
        self.server, self.name, self.secrets = server, name, set()
        self.access = self.refresh = ""

    def do(self, method, path, body=None, *, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        status, content = self.server.request(method, path, body, **headers)
        assert status < 500, content
        self.secrets |= {
            value
            for key, value in (body or {}).items()
            if isinstance(value, str) and key not in {"username", "email"}
        }
        self.secrets |= set(re.findall(rb'"(?:accessToken|refreshToken)":"([^"]+)"', content))
        for kind in ("access", "refresh"):
            if found := re.search(rf'"{kind}Token":"([^"]+)"', content.decode()):
                setattr(self, kind, found[1])
        return status

    def sign_in(self, password=PASSWORD):
        return self.do("POST", "/api/auth/signin", {"username": self.name, "password": password})


def live(person, mailbox):
    email = f"{person.name}@example.com"
    person.do("POST", "/api/auth/signup", {"username": person.name, "email": email, "password": PASSWORD})
    person.do("POST", "/api/auth/email/verify", {"token": mailed(mailbox)})
    assert person.sign_in(WRONG_PASSWORD) == 401
    assert person.sign_in() == 200
    assert person.do("GET", "/api/test/user", token=person.access) == 200
    assert person.do("GET", "/api/test/user", token=person.access + "x") == 401
    spent = person.refresh
    for _ in range(2):
        assert person.do("POST", "/api/auth/refreshtoken", {"refreshToken": person.refresh}) == 200
    assert person.do("POST", "/api/auth/refreshtoken", {"refreshToken": spent}) == 403
    assert person.sign_in() == 200
    assert person.do("POST", "/api/auth/reauthenticate", {"password": PASSWORD}, token=person.access) == 200
    change = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    assert person.do("POST", "/api/auth/password/change", change, token=person.access) == 204
    person.do("POST", "/api/auth/password/reset", {"email": email})
    reset = {"token": mailed(mailbox), "newPassword": PASSWORD}
    assert person.do("POST", "/api/auth/password/reset/confirm", reset) == 204
    assert person.sign_in() == 200
    assert person.do("GET", f"/api/test/user?access_token={person.access}") == 401
    person.do("POST", "/api/oauth/introspect", {"token": person.access, "client_secret": "a service's secret"})
    person.do("POST", "/api/auth/signin", {"username": person.name, "password": [PASSWORD]})
    assert person.do("POST", "/api/auth/signout", {"refreshToken": person.refresh}) == 204


def test_no_secret_is_logged_at_any_level(server, mailbox):
    person = Person(server, "talkative")

    live(person, mailbox)

    secrets = {secret if isinstance(secret, bytes) else str(secret).encode() for secret in person.secrets}
    assert len(secrets) > 12
    # The loudest is a template of the last letters, which are written behind the answers.
    wait_until(lambda: b'"level": "DEBUG"' in server.log.read_bytes())
    log = server.log.read_bytes()
    assert b"session:reuse_detected" in log
    for secret in secrets | stored(server) | {server.environment["SECRET_KEY"].encode()}:
        digest = hashlib.sha256(secret)
        forms = (secret, base64.b64encode(secret), digest.hexdigest().encode(), base64.b64encode(digest.digest()))
        assert not [form for form in forms if form in log], secret[:12]
    for token in secrets:
        # Of a token no part that would be of use, either.
        assert not [part for part in re.split(rb"[._]", token) if len(part) > 30 and part in log]


def stored(server):
    """Read what the database and the folder of keys hold that must not be seen."""
    found = set()
    for path in Path(server.environment["AUTH_KEYS_DIR"]).glob("*.pem"):
        found.add(b"".join(path.read_bytes().split(b"\n")[1:-2]))
    if not ON_POSTGRESQL:
        database = sqlite3.connect(server.environment["DATABASE_URL"].removeprefix("sqlite:///"))
        found |= {row[0].encode() for row in database.execute("SELECT password FROM accounts_user")}
        found |= {
            bytes(row[0]).hex().encode()
            for row in database.execute("SELECT secret_digest FROM accounts_refreshtoken")
        }
        database.close()
    return found
