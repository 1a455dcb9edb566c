"""A user with an authenticator app, and one with a passkey."""

from base64 import b32decode
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.utils import timezone

from tests.conftest import Api, SignedIn
from tests.factories import make_user
from tests.webauthn import SoftwareAuthenticator


class App:
    """An authenticator app with the secret that the service returned."""

    def __init__(self, secret: str) -> None:
        self._totp = TOTP(b32decode(secret), 6, SHA1(), 30)

    def code(self, *, steps: int = 0) -> str:
        return self._totp.generate(int(timezone.now().timestamp()) + 30 * steps).decode()


def add_app(client: Any, name: str = "Phone") -> App:
    """Add an authenticator app to a signed-in user. The returned client has the recovery codes."""
    begun = client.post("/api/auth/factors/totp", {"name": name}, client.access_token)
    assert begun.status_code == 201, begun.content
    app = App(begun.json()["secret"])
    body = {"id": begun.json()["id"], "code": app.code()}
    confirmed = client.post("/api/auth/factors/totp/confirm", body, client.access_token)
    assert confirmed.status_code == 200, confirmed.content
    client.factor_id = confirmed.json()["id"]
    client.recovery_codes = confirmed.json().get("recoveryCodes", [])
    return app


def add_passkey(client: Any, authenticator: SoftwareAuthenticator, **fields: Any) -> Any:
    options = client.post("/api/auth/factors/passkeys/options", {}, client.access_token)
    assert options.status_code == 200, options.content
    credential = authenticator.create(options.json())
    return client.post("/api/auth/factors/passkeys", {"credential": credential, **fields}, client.access_token)


def second_step(api: Api, username: str, **presented: Any) -> Any:
    """Sign in with the password and a second factor. A callable gets the body of the first response."""
    first = api.sign_in(username)
    assert (first.status_code, first.json()["code"]) == (403, "second_factor_required"), first.content
    body = {name: value(first.json()) if callable(value) else value for name, value in presented.items()}
    return api.post("/api/auth/signin/second-factor", {"authSession": first.json()["authSession"], **body})


@pytest.fixture
def with_app(clock: Any) -> Any:
    """Return a signed-in client whose user has an authenticator app, as `app`."""
    user = make_user()
    client: Any = SignedIn(user.username)
    client.user = user
    client.app = add_app(client)
    clock.advance(seconds=30)  # the code that confirmed the app is used
    return client


@pytest.fixture
def with_passkey(clock: Any) -> Any:
    """Return a signed-in client whose user has a passkey, in `authenticator`."""
    user = make_user()
    client: Any = SignedIn(user.username)
    client.user = user
    client.authenticator = SoftwareAuthenticator()
    response = add_passkey(client, client.authenticator)
    assert response.status_code == 201, response.content
    client.factor_id = response.json()["id"]
    return client
