"""clients/python: sign-in to an account with a second factor, against a running server."""

import pickle
import time
from base64 import b32decode

import httpx
import pytest
from authclient import Auth, AuthError, FileStore, SecondFactorRequired
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.factories import PASSWORD


@pytest.fixture(scope="module")
def server(start_server):
    return start_server()


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture
def account(server, url, request):
    """Return a username, the authenticator app and the recovery codes of an account."""
    name = f"user{abs(hash(request.node.name))}"
    pair = server.sign_in(name)
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {pair['accessToken']}"}) as api:
        begun = api.post("/api/auth/factors/totp", json={}).json()
        app = TOTP(b32decode(begun["secret"]), 6, SHA1(), 30)
        confirmed = api.post("/api/auth/factors/totp/confirm", json={"id": begun["id"], "code": code_of(app)})
    return name, app, confirmed.json()["recoveryCodes"]


def code_of(app, *, steps=0):
    return app.generate(int(time.time()) + 30 * steps).decode()


def content(auth, url):
    return httpx.get(f"{url}/api/test/user", auth=auth).status_code


def test_a_function_is_asked_for_the_second_factor_of_a_sign_in(url, account, tmp_path):
    username, app, _ = account
    challenges = []

    def ask(challenge):
        challenges.append(challenge)
        return {"code": code_of(app, steps=1)}  # The code of this step confirmed the app.

    auth = Auth(url, store=FileStore(tmp_path / "session.json"), second_factor=ask)
    auth.sign_in(username, PASSWORD)

    assert content(auth, url) == 200
    assert [challenge.factors for challenge in challenges] == [("totp", "recovery_code")]
    assert "authsess" not in repr(challenges)


def test_a_client_with_credentials_asks_for_the_second_factor(url, account):
    username, _, recovery_codes = account
    auth = Auth(
        url,
        credentials=lambda: (username, PASSWORD),
        second_factor=lambda _: {"recoveryCode": recovery_codes[0]},
    )

    assert content(auth, url) == 200


def test_without_the_function_the_challenge_is_raised_and_can_be_answered_until_it_is_right(url, account):
    username, _, recovery_codes = account
    auth = Auth(url)

    with pytest.raises(SecondFactorRequired) as caught:
        auth.sign_in(username, PASSWORD)
    challenge = pickle.loads(pickle.dumps(caught.value)).challenge
    with pytest.raises(AuthError, match="invalid_code"):
        auth.complete_sign_in(challenge, {"code": "000000"})
    with pytest.raises(AuthError, match="not_signed_in"):
        content(auth, url)
    auth.complete_sign_in(challenge, {"recoveryCode": recovery_codes[0]})

    assert content(auth, url) == 200
    assert (caught.value.status, caught.value.code) == (403, "second_factor_required")


def test_a_step_up_presents_a_second_factor(url, account):
    username, app, recovery_codes = account
    auth = Auth(url, second_factor=lambda _: {"recoveryCode": recovery_codes[0]})
    auth.sign_in(username, PASSWORD)

    with pytest.raises(AuthError, match="invalid_code"):
        auth.step_up({"code": "000000"})
    auth.step_up({"code": code_of(app, steps=1)})

    assert httpx.post(f"{url}/api/auth/factors/recovery-codes", auth=auth).status_code == 200
