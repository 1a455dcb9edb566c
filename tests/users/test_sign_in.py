"""POST /api/auth/signin: sign in with a password."""

import json

import pytest

from accounts.models import RefreshToken
from accounts.passwords.hashers import OwaspArgon2idHasher
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user


def test_a_sign_in_returns_the_account_and_a_token_pair(api):
    user = make_user("alice", roles=("user", "moderator"), fullname="Alice A.")

    response = api.sign_in("alice")
    body = response.json()

    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert body.pop("accessToken").count(".") == 2
    assert body.pop("refreshToken").startswith("authrt_")
    assert body == {
        "id": user.pk,
        "username": "alice",
        "email": "alice@example.com",
        "fullname": "Alice A.",
        "roles": ["ROLE_MODERATOR", "ROLE_USER"],
        "tokenType": "Bearer",
        "expiresIn": 900,
        "refreshExpiresIn": 86400,
    }


@pytest.mark.parametrize(
    "identifier", ["alice", "ALICE", " alice ", "alice@example.com", "Alice@Example.COM", "alice＠example.com"]
)
def test_a_user_signs_in_by_username_or_email_in_any_case(api, identifier):
    make_user("alice")

    assert api.sign_in(identifier).status_code == 200


def test_unknown_users_wrong_passwords_and_deactivated_users_get_the_same_response(api):
    make_user("alice")
    make_user("gone", is_active=False)

    responses = [api.sign_in("nobody"), api.sign_in("alice", "wrong password"), api.sign_in("gone")]

    assert {response.status_code for response in responses} == {401}
    assert {response.content for response in responses} == {
        b'{"message":"Invalid username or password!","code":"invalid_credentials"}'
    }
    assert {response["WWW-Authenticate"] for response in responses} == {'Bearer realm="api"'}


@pytest.mark.parametrize("username", ["nobody", "alice", "gone", "passwordless"])
def test_every_failed_sign_in_costs_one_hash(api, monkeypatch, username):
    make_user("alice")
    make_user("gone", is_active=False)
    make_user("passwordless").set_unusable_password()
    hashes = []
    encode, verify = OwaspArgon2idHasher.encode, OwaspArgon2idHasher.verify
    monkeypatch.setattr(OwaspArgon2idHasher, "encode", lambda *args: hashes.append(1) or encode(*args))
    monkeypatch.setattr(OwaspArgon2idHasher, "verify", lambda *args: hashes.append(1) or verify(*args))

    assert api.sign_in(username, "wrong password").status_code == 401
    assert len(hashes) == 1


@pytest.mark.parametrize("password", ["", PASSWORD + " ", " " + PASSWORD, PASSWORD.upper(), PASSWORD[:-1]])
def test_a_password_is_neither_trimmed_nor_truncated(api, assert_refused, password):
    make_user("alice")

    assert_refused(api.sign_in("alice", password), 401, "invalid_credentials")


def test_a_password_over_the_maximum_length_is_not_hashed(api, monkeypatch, assert_refused):
    make_user("alice")
    monkeypatch.setattr("accounts.passwords.equal_cost.make_password", None)
    monkeypatch.setattr("accounts.models.password_verification.verify_password", None)

    assert_refused(api.sign_in("alice", "x" * 129), 401, "invalid_credentials")
    assert_refused(api.sign_in("nobody", "x" * 129), 401, "invalid_credentials")


def test_a_username_cannot_be_an_email_address(api, assert_refused):
    make_user("victim", email="victim@example.com")

    assert_refused(api.sign_up("victim@example.com", email="m@example.com"), 400, "invalid_request")


def test_each_sign_in_starts_a_separate_session():
    user = make_user("alice")

    first, second = SignedIn("alice"), SignedIn("alice")

    assert first.claims.session_id != second.claims.session_id
    assert RefreshToken.objects.filter(owner=user).count() == 2


def test_a_session_records_the_ip_address_and_user_agent_of_its_sign_in(api):
    make_user("alice")

    api.http.post(
        "/api/auth/signin",
        {"username": "alice", "password": PASSWORD},
        "application/json",
        headers={"User-Agent": "Browser\x00/1 \x7f" + "x" * 300},
        REMOTE_ADDR="2001:db8::7",
    )
    session = RefreshToken.objects.get()

    assert session.address == "2001:db8::7"
    assert session.user_agent.startswith("Browser/1 xxx")
    assert len(session.user_agent) == 255


def test_an_invalid_remote_address_does_not_prevent_a_sign_in(api):
    make_user("alice")

    api.http.post(
        "/api/auth/signin", {"username": "alice", "password": PASSWORD}, "application/json", REMOTE_ADDR="unix:"
    )

    assert RefreshToken.objects.get().address is None


@pytest.mark.parametrize(
    "body", [{"username": 5, "password": 12345678}, {"username": ["a"]}, {}, [], "x", 7, None]
)
def test_a_malformed_body_is_rejected_with_the_reason(api, assert_refused, body):
    response = api.http.post("/api/auth/signin", _json(body), "application/json")

    assert_refused(response, 400, "invalid_request")
    assert response.json()["errors"]


def _json(body):
    return json.dumps(body)
