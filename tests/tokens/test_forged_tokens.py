"""Known attacks on access tokens: each is refused with 401, and none causes a server error."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from accounts.keys.key_ring import key_ring
from tests.factories import PASSWORD
from tests.servers import Server, environment
from tests.tokens.forgeries import Forger, forgeries

URL = "/api/test/user"


def test_an_unchanged_token_signed_by_the_forger_is_accepted(signed_in):
    """Guards the tests below: they change this token in one place, which must be the only reason for the refusal."""
    forger = Forger(signed_in.access_token, key_ring().signing.private_key)

    assert signed_in.get(URL, forger.with_header()).status_code == 200
    assert signed_in.get(URL, forger.with_claims()).status_code == 200


@pytest.mark.parametrize("header", ["Authorization", "x-access-token"])
def test_no_forgery_is_accepted(signed_in, header):
    accepted = {}
    for name, token in forgeries(signed_in.access_token, key_ring().signing.private_key):
        value = f"Bearer {token}" if header == "Authorization" else token
        response = signed_in.get(URL, **{header: value})
        outcome = (response.status_code, response.json()["code"] if response.status_code >= 400 else None)
        # A comma in the value is read as two headers of the same name.
        if outcome not in {
            (401, "token_invalid"),
            (401, "token_expired"),
            (401, "token_revoked"),
            (401, "token_stale"),
        } and not ("," in token and outcome == (400, "invalid_request")):
            accepted[name] = outcome

    assert accepted == {}


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_setup, django_db_blocker):
    folder = tmp_path_factory.mktemp("forged")
    running = Server(environment(folder, django_db_blocker), folder / "log")
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


def test_no_forgery_is_accepted_by_the_real_server(server):
    body = {"username": "alice", "email": "alice@example.com", "password": PASSWORD}
    server.post("/api/auth/signup", body)
    token = server.post("/api/auth/signin", body)[1]["accessToken"]
    key_file = (
        Path(server.environment["AUTH_KEYS_DIR"])
        / f"{Forger(token, key_ring().signing.private_key).header['kid']}.pem"
    )
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert server.request("GET", URL, Authorization=f"Bearer {Forger(token, key).with_header()}")[0] == 200

    responses = {
        name: server.request("GET", URL, Authorization=f"Bearer {forged}".encode())[0]
        for name, forged in forgeries(token, key)
        if not set(forged) & set("\r\n,")
    }

    assert {name: status for name, status in responses.items() if status != 401} == {}
