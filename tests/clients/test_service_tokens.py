"""`authclient` verifies the tokens of other services by a method of its own, and refuses them everywhere else."""

import jwt
import pytest
from authclient.verifier import RoleRequired, TokenExpired, TokenInvalid, Verifier

from accounts.models import Service
from accounts.sso import service_tokens
from accounts.tokens import signing
from tests.conftest import SignedIn
from tests.factories import make_user


@pytest.fixture
def verifier(monkeypatch, api, override_auth, clock):
    override_auth(audience=("authproject", "orders"))

    def fetch(http, url):
        return api.get(url.removeprefix("http://localhost:8000")).json()

    monkeypatch.setattr("authclient.issuer_keys._fetch", fetch)
    return Verifier("http://localhost:8000", audience="orders")


@pytest.fixture
def token(verifier):
    service = Service(client_id="worker", audience="stock", audiences=["orders"], roles=["moderator"])
    return service_tokens.issue(service).text


def test_the_token_of_a_service_is_verified(verifier, token):
    verified = verifier.verify_service(token)

    assert (verified.client_id, verified.roles, verified.issuer) == (
        "worker", ("moderator",), "http://localhost:8000",
    )  # fmt: skip
    verified.require_role("moderator")
    with pytest.raises(RoleRequired):
        verified.require_role("admin")


def test_the_token_of_a_service_is_not_taken_for_a_users(verifier, token):
    with pytest.raises(TokenInvalid):
        verifier.verify(token)


def test_the_token_of_a_user_is_not_taken_for_a_services(verifier):
    user = SignedIn(make_user().username)

    assert verifier.verify(user.access_token)
    with pytest.raises(TokenInvalid):
        verifier.verify_service(user.access_token)


def test_the_token_for_another_service_is_refused(verifier, token):
    with pytest.raises(TokenInvalid):
        Verifier("http://localhost:8000", audience="stock").verify_service(token)


def test_the_token_of_a_service_expires(verifier, token, clock):
    clock.advance(seconds=900)

    with pytest.raises(TokenExpired):
        verifier.verify_service(token)


@pytest.mark.parametrize(
    "change",
    [
        {"sub": "1", "client_id": "1"}, {"sub": "other"}, {"sub": "", "client_id": ""}, {"sid": "x"}, {"ver": 0},
        {"acr": "2"}, {"roles": [1]}, {"roles": "moderator"}, {"aud": ["orders"]}, {"nbf": 99999999999}, {"exp": "x"},
    ],
)  # fmt: skip
def test_a_token_with_other_claims_is_refused(verifier, token, change):
    claims = {**jwt.decode(token, options={"verify_signature": False}), **change}

    with pytest.raises(TokenInvalid):
        verifier.verify_service(signing.sign(claims, "at+jwt"))


@pytest.mark.parametrize("typ", ["JWT", "logout+jwt"])
def test_a_token_of_another_type_is_refused(verifier, token, typ):
    claims = jwt.decode(token, options={"verify_signature": False})

    with pytest.raises(TokenInvalid):
        verifier.verify_service(signing.sign(claims, typ))
