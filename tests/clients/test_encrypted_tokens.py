"""authclient with encrypted access tokens: those of the service are verified, forgeries are refused."""

import asyncio
import json
import re
from typing import Annotated

import httpx
import pytest
from authclient.django.authentication import AccessTokenAuthentication, TransitionalAuthentication
from authclient.encrypted_tokens import parse_keys
from authclient.fastapi import AccessTokenBearer, add_error_handlers
from authclient.verifier import AccessToken, TokenInvalid, Verifier
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import override_settings
from fastapi import Depends, FastAPI
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.test import APIRequestFactory

from accounts.keys.key_ring import encryption_key, key_ring
from accounts.tokens import encrypted_tokens as service
from tests.clients.test_verifier import ISSUER, Issuer
from tests.conftest import SignedIn
from tests.factories import make_user
from tests.servers import ROOT
from tests.tokens.encrypted_forgeries import Sealer, encrypted_forgeries

EXAMPLES = [
    code
    for code in re.findall(r"```python\n(.*?)```", (ROOT / "docs/services.md").read_text(), re.DOTALL)
    if "encryption-keys.json" in code
]


@pytest.fixture(autouse=True)
def encrypt(clock, override_auth, tmp_path, monkeypatch, api):
    """Encrypt the tokens of the service, and serve its public keys to verifiers."""
    override_auth(keys_dir=tmp_path / "keys", token_encryption=True)
    Issuer(monkeypatch, api)


@pytest.fixture
def token():
    return SignedIn(make_user("alice").username).access_token


@pytest.fixture
def inner(token):
    return service.decrypt(token, encryption_key())


@pytest.fixture
def jwk_set(capsys):
    """Return what show_encryption_key prints, parsed."""
    encryption_key()
    call_command("show_encryption_key")
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def verifier(jwk_set):
    return Verifier(ISSUER, audience="authproject", decryption_keys=jwk_set)


def test_an_encrypted_token_of_the_service_is_verified(verifier, token):
    assert token.count(".") == 4
    assert verifier.verify(token).roles == ("user",)
    assert asyncio.run(verifier.verify_async(token)) == verifier.verify(token)


def test_a_signed_token_is_verified_with_and_without_keys(verifier, inner):
    assert verifier.verify(inner) == Verifier(ISSUER, audience="authproject").verify(inner)


def test_a_token_is_verified_before_and_after_a_rotation(verifier, token):
    call_command("rotate_encryption_key", stdout=None)
    other = SignedIn("alice").access_token

    assert verifier.verify(token).subject == verifier.verify(other).subject


def test_without_keys_an_encrypted_token_is_refused(token):
    with pytest.raises(TokenInvalid):
        Verifier(ISSUER, audience="authproject").verify(token)


def test_with_other_keys_an_encrypted_token_is_refused(token, jwk_set):
    others = {"keys": [{**jwk, "kid": f"another-{jwk['kid']}"} for jwk in jwk_set["keys"]]}
    wrong = {"keys": [{**jwk, "k": "A" * 43} for jwk in jwk_set["keys"]]}

    for keys in (others, wrong):
        verifier = Verifier(ISSUER, audience="authproject", decryption_keys=keys)
        with pytest.raises(TokenInvalid):
            verifier.verify(token)


def test_an_unchanged_token_encrypted_by_the_forger_is_accepted(verifier, inner):
    """Guards the next tests: each forgery differs from this token in one place."""
    sealer = Sealer(inner, encryption_key(), key_ring().signing.private_key)

    for token in (sealer.token, sealer.joined(), sealer.with_header()):
        assert verifier.verify(token)


def test_no_forgery_is_accepted(verifier, inner):
    accepted, count = [], 0
    for name, token in encrypted_forgeries(inner, encryption_key(), key_ring().signing.private_key):
        count += 1
        try:
            verifier.verify(token)
        except TokenInvalid:
            continue
        accepted.append(name)

    assert accepted == []
    assert count > 150


def test_a_token_that_is_encrypted_twice_is_refused_before_it_is_verified(verifier, token):
    nested = service.encrypt(token, encryption_key())

    with pytest.raises(TokenInvalid):
        verifier.decrypt(nested)


def test_a_token_that_is_longer_than_any_is_refused_before_it_is_decrypted(verifier):
    assert verifier.decrypt(service.encrypt("a.b." + "c" * 8192, encryption_key()))
    with pytest.raises(TokenInvalid):
        verifier.decrypt(service.encrypt("a.b." + "c" * 16384, encryption_key()))


@pytest.mark.parametrize("change", [{"alg": "A256GCMKW"}, {"enc": "A128GCM"}, {"cty": "JWE"}, {"zip": "DEF"}])
def test_another_header_is_refused(verifier, inner, change):
    sealer = Sealer(inner, encryption_key(), key_ring().signing.private_key)

    with pytest.raises(TokenInvalid):
        verifier.decrypt(sealer.with_header(**change))


def key(**changes):
    return {"kty": "oct", "k": "A" * 43, "kid": "a", "use": "enc", **changes}


def test_unknown_members_of_keys_are_ignored():
    assert set(parse_keys({"keys": [key(alg="dir", x=1), key(kid="b")], "issued": "today"})) == {"a", "b"}


@pytest.mark.parametrize(
    ("jwk_set", "message"),
    [
        *[(value, "not a JWK set") for value in ("", [], {}, {"keys": {}}, {"keys": []}, [key()], "{}", 5)],
        *[
            ({"keys": [key(), jwk]}, "Decryption key 2 is invalid")
            for jwk in (
                None, "a", {}, key(kid="b", k="A" * 22), key(kid="b", k="A" * 44), key(kid="b", k="A" * 42 + "B"),
                key(kid="b", k=5), key(kid=None), key(kid=["b"]), key(kid="b", kty="EC"), key(kid="b", use="sig"),
            )
        ],
        ({"keys": [key(), key()]}, "same kid"),
    ],
)  # fmt: skip
def test_what_is_no_set_of_keys_is_refused_without_showing_a_key(jwk_set, message):
    with pytest.raises(ValueError, match=message) as refused:
        Verifier(ISSUER, audience="orders", decryption_keys=jwk_set)

    assert "A" * 8 not in str(refused.value)


class TestFrameworks:
    """The same in Django and FastAPI, and the examples on the page."""

    AUDIENCE = "authproject"

    def authenticate(self, token, authentication=AccessTokenAuthentication, **settings):
        request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
        with override_settings(AUTH_SERVICE={"issuer": ISSUER, "audience": self.AUDIENCE, **settings}):
            return authentication().authenticate(request)

    def test_django_decrypts_with_the_keys_of_its_settings(self, token, jwk_set):
        assert self.authenticate(token, decryption_keys=jwk_set)[0].roles == ("user",)
        for settings in ({}, {"decryption_keys": None}, {"decryption_keys": {"keys": [key()]}}):
            with pytest.raises(AuthenticationFailed):
                self.authenticate(token, **settings)

    def test_django_refuses_to_start_with_keys_that_are_no_set(self, token):
        for keys in ("encryption-keys.json", {"keys": [b"x"]}):
            with pytest.raises(ImproperlyConfigured, match=r"AUTH_SERVICE: .*ecryption key"):
                self.authenticate(token, decryption_keys=keys)

    def test_during_a_move_an_encrypted_token_is_an_access_token_if_it_can_be_decrypted(self, token, jwk_set):
        assert self.authenticate(token, TransitionalAuthentication, decryption_keys=jwk_set)
        assert self.authenticate(token, TransitionalAuthentication) is None

    def test_fastapi_decrypts_with_the_keys_of_its_verifier(self, token, verifier):
        bearer = AccessTokenBearer(verifier)
        app = FastAPI()
        add_error_handlers(app)

        @app.get("/")
        async def of(token: Annotated[AccessToken, Depends(bearer)]):
            return token.roles

        async def get(text):
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://orders") as client:
                return await client.get("/", headers={"Authorization": f"Bearer {text}"})

        assert asyncio.run(get(token)).json() == ["user"]
        assert asyncio.run(get(token[:-3] + "AAA")).json()["code"] == "token_invalid"

    def test_the_examples_on_the_page_accept_a_token(self, token, jwk_set, tmp_path, monkeypatch):
        (tmp_path / "encryption-keys.json").write_text(json.dumps(jwk_set))
        monkeypatch.chdir(tmp_path)
        plain, settings = ({}, {})
        for code, variables in zip(EXAMPLES, (plain, settings), strict=True):
            exec(code.replace("https://auth.example.com", ISSUER).replace('"orders"', '"authproject"'), variables)

        assert plain["verifier"].verify(token).roles == ("user",)
        assert self.authenticate(token, **settings["AUTH_SERVICE"])
