"""The log of a running server at level DEBUG contains no passwords, tokens, emailed tokens, keys or their digests."""

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


def next_emailed_token(mailbox):
    while True:
        found = re.search(r"#token=(\S+)", mailbox.mails.get(timeout=30).get_body(("plain",)).get_content())
        if found:
            return found[1]


class RecordingClient:
    """A client that remembers each secret that it sends or receives."""

    def __init__(self, server, name):
        self.server, self.name, self.secrets = server, name, set()
        self.access = self.refresh = ""

    def request(self, method, path, body=None, *, token=None):
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
        return self.request("POST", "/api/auth/signin", {"username": self.name, "password": password})


def use_all_features(client, mailbox):
    email = f"{client.name}@example.com"
    client.request("POST", "/api/auth/signup", {"username": client.name, "email": email, "password": PASSWORD})
    client.request("POST", "/api/auth/email/verify", {"token": next_emailed_token(mailbox)})
    assert client.sign_in(WRONG_PASSWORD) == 401
    assert client.sign_in() == 200
    assert client.request("GET", "/api/test/user", token=client.access) == 200
    assert client.request("GET", "/api/test/user", token=client.access + "x") == 401
    spent = client.refresh
    for _ in range(2):
        assert client.request("POST", "/api/auth/refreshtoken", {"refreshToken": client.refresh}) == 200
    assert client.request("POST", "/api/auth/refreshtoken", {"refreshToken": spent}) == 403
    assert client.sign_in() == 200
    assert client.request("POST", "/api/auth/reauthenticate", {"password": PASSWORD}, token=client.access) == 200
    change = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    assert client.request("POST", "/api/auth/password/change", change, token=client.access) == 204
    client.request("POST", "/api/auth/password/reset", {"email": email})
    reset = {"token": next_emailed_token(mailbox), "newPassword": PASSWORD}
    assert client.request("POST", "/api/auth/password/reset/confirm", reset) == 204
    assert client.sign_in() == 200
    assert client.request("GET", f"/api/test/user?access_token={client.access}") == 401
    client.request(
        "POST", "/api/oauth/introspect", {"token": client.access, "client_secret": "a service's secret"}
    )
    client.request("POST", "/api/auth/signin", {"username": client.name, "password": [PASSWORD]})
    assert client.request("POST", "/api/auth/signout", {"refreshToken": client.refresh}) == 204


def test_no_secret_is_logged_at_any_level(server, mailbox):
    client = RecordingClient(server, "alice")

    use_all_features(client, mailbox)

    secrets = {secret if isinstance(secret, bytes) else str(secret).encode() for secret in client.secrets}
    assert len(secrets) > 12
    # The last DEBUG lines come from the templates of emails, which are rendered after the response.
    wait_until(lambda: b'"level": "DEBUG"' in server.log.read_bytes())
    log = server.log.read_bytes()
    assert b"session:reuse_detected" in log
    for secret in secrets | stored_secrets(server) | {server.environment["SECRET_KEY"].encode()}:
        digest = hashlib.sha256(secret)
        forms = (secret, base64.b64encode(secret), digest.hexdigest().encode(), base64.b64encode(digest.digest()))
        assert not [form for form in forms if form in log], secret[:12]
    for token in secrets:
        # No part of a token that is long enough to be useful may be logged either.
        assert not [part for part in re.split(rb"[._]", token) if len(part) > 30 and part in log]


def stored_secrets(server):
    """Return the secrets that the key folder and the database contain."""
    secrets = set()
    for path in Path(server.environment["AUTH_KEYS_DIR"]).glob("*.pem"):
        secrets.add(b"".join(path.read_bytes().split(b"\n")[1:-2]))
    if not ON_POSTGRESQL:
        database = sqlite3.connect(server.environment["DATABASE_URL"].removeprefix("sqlite:///"))
        secrets |= {row[0].encode() for row in database.execute("SELECT password FROM accounts_user")}
        secrets |= {
            bytes(row[0]).hex().encode()
            for row in database.execute("SELECT secret_digest FROM accounts_refreshtoken")
        }
        database.close()
    return secrets
