"""Access tokens with AUTH_TOKEN_ENCRYPTION: their form, switching it on and off, and forgeries."""

import json
import re
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.management import call_command

from accounts.keys.key_ring import decryption_keys, encryption_key, key_ring
from accounts.models import Service
from accounts.sessions import project_claims
from accounts.sessions.services import new_secret
from accounts.tokens import access_tokens, encrypted_tokens
from tests.api.test_cookies import Browser
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user
from tests.tokens.encrypted_forgeries import Sealer, decode, encrypted_forgeries

URL = "/api/test/user"


@pytest.fixture
def encrypt(clock, override_auth, tmp_path):
    """Return a function that switches the encryption on or off. It is on."""

    def switch(on, **settings):
        override_auth(keys_dir=tmp_path / "keys", token_encryption=on, **settings)

    switch(on=True)
    make_user("alice", fullname="Alice A.")
    return switch


def inner_of(token):
    return encrypted_tokens.decrypt(token, encrypted_tokens.select_key(token, decryption_keys()))


def header_of(token):
    return json.loads(decode(token.split(".")[0]))


def test_the_token_is_todays_signed_token_encrypted_with_the_shared_key(encrypt):
    token = SignedIn("alice").access_token
    head, encrypted_key, iv, ciphertext, tag = token.split(".")

    assert header_of(token) == {"alg": "dir", "enc": "A256GCM", "cty": "JWT", "kid": encryption_key().kid}
    assert encrypted_key == ""
    content = AESGCM(encryption_key().private_key).decrypt(
        decode(iv), decode(ciphertext) + decode(tag), head.encode()
    )
    key = key_ring().signing
    assert jwt.get_unverified_header(content) == {"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}
    claims = jwt.decode(content, key.public_key, ["ES256"], audience="authproject", issuer="http://localhost:8000")
    assert claims["roles"] == ["user"]


def test_a_client_cannot_read_the_claims(encrypt):
    encrypt(on=True, profile_claims=("username", "fullname"))
    token = SignedIn("alice").access_token

    assert b"alice" in decode(inner_of(token).split(".")[1])
    for segment in token.split("."):
        assert b"alice" not in decode(segment).lower()


def test_each_way_of_issuing_encrypts_and_each_token_is_accepted(encrypt):
    signed_in = SignedIn("alice")
    refreshed = signed_in.refresh(signed_in.refresh_token).json()["accessToken"]
    stepped_up = signed_in.post("/api/auth/reauthenticate", {"password": PASSWORD}, refreshed).json()[
        "accessToken"
    ]

    for token in (signed_in.access_token, refreshed, stepped_up):
        assert token.count(".") == 4
        assert signed_in.get(URL, token).status_code == 200


def test_the_same_token_is_never_encrypted_with_the_same_initialization_vector(encrypt):
    tokens = [encrypted_tokens.encrypt("a.b.c", encryption_key()) for _ in range(100)]

    assert len({token.split(".")[2] for token in tokens}) == 100


def test_tokens_issued_before_a_switch_stay_valid_in_both_directions(encrypt, clock, assert_refused):
    encrypted = SignedIn("alice")
    encrypt(on=False)
    signed = SignedIn("alice")
    assert (encrypted.access_token.count("."), signed.access_token.count(".")) == (4, 2)
    assert [encrypted.content().status_code, signed.content().status_code] == [200, 200]

    encrypt(on=True)
    assert [encrypted.content().status_code, signed.content().status_code] == [200, 200]

    clock.advance(seconds=900)
    for session in (encrypted, signed):
        assert_refused(session.content(), 401, "token_expired")


def test_a_sign_out_and_a_role_change_reach_an_encrypted_token(encrypt, assert_refused):
    signed_in, other = SignedIn("alice"), SignedIn("alice")
    assert signed_in.content().status_code == 200
    signed_in.post("/api/auth/signout", token=signed_in.access_token)
    call_command("grantrole", "alice", "admin", stdout=None)

    assert_refused(signed_in.content(), 401, "token_revoked")
    assert_refused(other.content(), 401, "token_stale")


def test_without_encryption_keys_an_encrypted_token_is_refused_and_none_are_created(
    signed_in, override_auth, tmp_path, assert_refused
):
    override_auth(token_encryption=True, keys_dir=tmp_path / "elsewhere")
    token = encrypted_tokens.encrypt(signed_in.access_token, encryption_key())
    override_auth(token_encryption=False, keys_dir=tmp_path / "keys")

    assert_refused(signed_in.get(URL, token), 401, "token_invalid")
    assert not (tmp_path / "keys" / "encryption").exists()


def test_while_encryption_is_off_a_signed_token_touches_no_encryption_key(signed_in, monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(access_tokens, "decryption_keys", fail)
    monkeypatch.setattr(access_tokens, "encryption_key", fail)
    monkeypatch.setattr(encrypted_tokens, "decrypt", fail)

    pair = signed_in.refresh(signed_in.refresh_token).json()
    for _ in range(2):
        assert signed_in.get(URL, pair["accessToken"]).status_code == 200


def test_a_process_decrypts_a_token_only_once(encrypt, monkeypatch):
    signed_in = SignedIn("alice")
    calls = []
    decrypt = encrypted_tokens.decrypt
    monkeypatch.setattr(encrypted_tokens, "decrypt", lambda *given: calls.append(given) or decrypt(*given))

    for _ in range(5):
        assert signed_in.content().status_code == 200
    assert len(calls) == 1


def test_tokens_of_a_dropped_encryption_key_are_refused_at_once_and_a_refresh_brings_another(
    encrypt, assert_refused
):
    signed_in = SignedIn("alice")
    assert signed_in.content().status_code == 200
    call_command("rotate_encryption_key", f"--drop={encryption_key().kid}", stdout=None)

    assert_refused(signed_in.content(), 401, "token_invalid")
    token = signed_in.refresh(signed_in.refresh_token).json()["accessToken"]
    assert signed_in.get(URL, token).status_code == 200


def test_introspection_and_revocation_take_encrypted_tokens(encrypt, api, assert_refused):
    encrypt(on=True, audience=("authproject", "orders"))
    service = Service(client_id="orders", audience="orders")
    secret = new_secret(service)
    service.save()
    signed_in = SignedIn("alice")
    form = {"token": signed_in.access_token, "client_id": "orders", "client_secret": secret}

    assert api.post("/api/oauth/introspect", form).json()["username"] == "alice"
    assert api.post("/api/oauth/revoke", form).status_code == 200
    assert_refused(signed_in.content(), 401, "token_revoked")


def large_claims(user, session):
    return {"extra": "x" * (project_claims.MAX_SIZE - len('{"extra":""}'))}


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "HS256"])
def test_the_largest_encrypted_token_fits_in_a_cookie(encrypt, algorithm):
    encrypt(on=True, algorithm=algorithm, claims=f"{__name__}.large_claims", extra_claims=("extra",))
    browser = Browser()
    browser.sign_in_with_cookies()

    token = browser.cookie("__Host-access").value
    assert len("__Host-access=" + token) < 4096
    claims = jwt.decode(inner_of(token), options={"verify_signature": False})
    assert len(claims["extra"]) > 1000
    assert claims["roles"] == ["user"]
    assert browser.get(URL).status_code == 200


@pytest.fixture
def documented(capsys):
    """Return the code of docs/services.md that decrypts a token, and the exported keys."""
    page = (Path(__file__).parents[2] / "docs" / "services.md").read_text()
    [code] = [text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def decrypt" in text]
    namespace = {}
    exec(code, namespace)
    decryption_keys()  # the start of the service creates them
    call_command("show_encryption_key")
    return namespace["decrypt"], namespace["load_keys"](json.loads(capsys.readouterr().out))


def test_a_service_decrypts_with_the_exported_keys_and_the_documented_code(encrypt, documented):
    decrypt, keys = documented
    token = SignedIn("alice").access_token

    assert decrypt(token, keys) == inner_of(token)
    assert decrypt(inner_of(token), keys) == inner_of(token)


def test_the_documented_code_accepts_no_forgery_whose_content_can_be_verified(encrypt, documented):
    decrypt, keys = documented
    inner, signing = inner_of(SignedIn("alice").access_token), key_ring().signing
    accepted = []
    for name, token in encrypted_forgeries(inner, encryption_key(), signing.private_key):
        try:
            content = decrypt(token, keys)
            assert content.count(".") == 2
            jwt.decode(content, signing.public_key, ["ES256"], audience="authproject")
            assert jwt.get_unverified_header(content)["typ"] == "at+jwt"
        except Exception:  # noqa: BLE001  the code raises whatever the library does
            continue
        accepted.append(name)

    # Spellings of the right header, which only a holder of the key can write.
    assert [name for name in accepted if not name.startswith(("header, ", "header in "))] == []


def test_an_unchanged_token_encrypted_by_the_forger_is_accepted(encrypt):
    """Guards the tests below: they change this token in one place, which must be the only reason for the refusal."""
    signed_in = SignedIn("alice")
    sealer = Sealer(inner_of(signed_in.access_token), encryption_key(), key_ring().signing.private_key)

    for token in (sealer.token, sealer.joined(), sealer.with_header()):
        assert signed_in.get(URL, token).status_code == 200


@pytest.mark.parametrize("header", ["Authorization", "x-access-token"])
def test_no_forgery_is_accepted(encrypt, header):
    signed_in = SignedIn("alice")
    accepted, count = {}, 0
    inner = inner_of(signed_in.access_token)
    for name, token in encrypted_forgeries(inner, encryption_key(), key_ring().signing.private_key):
        count += 1
        response = signed_in.get(URL, **{header: f"Bearer {token}" if header == "Authorization" else token})
        outcome = (response.status_code, response.json().get("code") if response.status_code >= 400 else None)
        # A comma in the value is read as two headers of the same name.
        if outcome != (401, "token_invalid") and not ("," in token and outcome == (400, "invalid_request")):
            accepted[name] = outcome

    assert accepted == {}
    assert count > 150


def test_a_changed_character_anywhere_is_refused(encrypt):
    signed_in = SignedIn("alice")
    token = signed_in.access_token
    for place in range(0, len(token), 5):
        if token[place] != ".":
            changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            assert signed_in.get(URL, changed).status_code == 401


def test_the_hs256_secret_and_the_encryption_key_are_not_interchangeable(encrypt):
    encrypt(on=True, algorithm="HS256")
    signed_in = SignedIn("alice")
    inner, secret, key = inner_of(signed_in.access_token), key_ring().signing, encryption_key()
    claims = jwt.decode(inner, options={"verify_signature": False})
    forged = [
        jwt.encode(claims, key.private_key, "HS256", {"typ": "at+jwt", "kid": kid})
        for kid in (key.kid, secret.kid)
    ]

    for token in forged:
        assert signed_in.get(URL, token).status_code == 401
        assert signed_in.get(URL, encrypted_tokens.encrypt(token, key)).status_code == 401
    assert signed_in.get(URL, encrypted_tokens.encrypt(inner, key)).status_code == 200
