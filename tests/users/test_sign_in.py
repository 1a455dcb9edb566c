"""POST /api/auth/signin."""

import json

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher

from accounts.models import RefreshToken
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user


def test_a_sign_in_answers_with_the_account_and_a_token_pair(api):
    user = make_user("alice", roles=("user", "moderator"), fullname="Alice A.")

    answer = api.sign_in("alice")
    body = answer.json()

    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
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
def test_a_user_signs_in_by_username_or_address_in_any_case(api, identifier):
    make_user("alice")

    assert api.sign_in(identifier).status_code == 200


def test_unknown_users_wrong_passwords_and_deactivated_users_get_one_answer(api):
    make_user("alice")
    make_user("gone", is_active=False)

    answers = [api.sign_in("nobody"), api.sign_in("alice", "wrong password"), api.sign_in("gone")]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.content for answer in answers} == {
        b'{"message":"Invalid username or password!","code":"invalid_credentials"}'
    }
    assert {answer["WWW-Authenticate"] for answer in answers} == {'Bearer realm="api"'}


@pytest.mark.parametrize("who", ["nobody", "alice", "gone", "passwordless"])
def test_a_refusal_costs_one_hash_whoever_it_is(api, monkeypatch, who):
    make_user("alice")
    make_user("gone", is_active=False)
    make_user("passwordless").set_unusable_password()
    hashed = []
    encode, verify = Argon2PasswordHasher.encode, Argon2PasswordHasher.verify
    monkeypatch.setattr(Argon2PasswordHasher, "encode", lambda *args: hashed.append(1) or encode(*args))
    monkeypatch.setattr(Argon2PasswordHasher, "verify", lambda *args: hashed.append(1) or verify(*args))

    assert api.sign_in(who, "wrong password").status_code == 401
    assert len(hashed) == 1


@pytest.mark.parametrize("password", ["", PASSWORD + " ", " " + PASSWORD, PASSWORD.upper(), PASSWORD[:-1]])
def test_a_password_is_neither_trimmed_nor_cut(api, assert_refused, password):
    make_user("alice")

    assert_refused(api.sign_in("alice", password), 401, "invalid_credentials")


def test_a_password_longer_than_any_account_has_is_not_hashed(api, monkeypatch, assert_refused):
    make_user("alice")
    monkeypatch.setattr("accounts.users.credentials.make_password", None)

    assert_refused(api.sign_in("alice", "x" * 129), 401, "invalid_credentials")
    assert_refused(api.sign_in("nobody", "x" * 129), 401, "invalid_credentials")


def test_a_username_cannot_stand_for_anothers_address(api, assert_refused):
    make_user("victim", email="victim@example.com")

    assert_refused(api.sign_up("victim@example.com", email="m@example.com"), 400, "invalid_request")


def test_each_sign_in_is_a_session_of_its_own():
    user = make_user("alice")

    first, second = SignedIn("alice"), SignedIn("alice")

    assert first.claims.session_id != second.claims.session_id
    assert RefreshToken.objects.filter(owner=user).count() == 2


def test_a_session_remembers_where_it_began(api):
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


def test_an_address_that_is_none_is_no_obstacle(api):
    make_user("alice")

    api.http.post(
        "/api/auth/signin", {"username": "alice", "password": PASSWORD}, "application/json", REMOTE_ADDR="unix:"
    )

    assert RefreshToken.objects.get().address is None


@pytest.mark.parametrize(
    "body", [{"username": 5, "password": 12345678}, {"username": ["a"]}, {}, [], "x", 7, None]
)
def test_a_body_of_another_shape_is_refused_with_the_reason(api, assert_refused, body):
    answer = api.http.post("/api/auth/signin", _json(body), "application/json")

    assert_refused(answer, 400, "invalid_request")
    assert answer.json()["errors"]


def _json(body):
    return json.dumps(body)
