"""Rules for new passwords, and how passwords are hashed (NIST SP 800-63B, OWASP)."""

import hashlib

import pytest
from argon2 import PasswordHasher
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import CommonPasswordValidator, password_validators_help_text_html
from django.core.exceptions import ValidationError
from django.db.models import F

from accounts.conf import auth_settings
from accounts.defaults import MIN_PASSWORD_LENGTH
from accounts.models import User
from accounts.passwords.validators import (
    COMMON_WORDS,
    BreachedPasswordValidator,
    common_words,
    service_names,
)
from tests.factories import PASSWORD, make_user


def test_passwords_are_hashed_with_argon2id_and_the_parameters_of_owasp(api):
    api.sign_up("alice")

    assert User.objects.get().password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    "password", ["eightchr", "x" * 60 + "7" * 68, "tr0ub4dor&3 " * 2, "пароль-пароль", "   spaces   ", "🙂" * 8]
)
def test_any_8_to_128_characters_are_accepted(api, password):
    assert api.sign_up("alice", password).status_code == 201
    assert api.sign_in("alice", password).status_code == 200


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "at least 8"),
        ("", "at least 8"),
        ("x" * 129, "at most 128"),
        ("password", "too common"),
        ("12345678", "too common"),
        ("alicealice1", None),
        ("alice.liddell", "too similar"),
    ],
)
def test_a_weak_password_is_rejected_with_the_reason(api, password, reason):
    response = api.sign_up("alice.liddell", password)

    if reason is None:
        assert response.status_code == 201
    else:
        assert response.status_code == 400
        assert reason in " ".join(response.json()["errors"]["password"])


def test_the_minimum_length_is_a_setting(api, override_auth):
    make_user("alice")
    override_auth(password_min_length=30, audience=("orders",))

    errors = api.sign_up("bob", "x1" * 14 + "!").json()["errors"]["password"]
    assert errors == ["This password is too short. It must contain at least 30 characters."]
    errors = api.sign_up("bob", "x1" * 14 + "!orders").json()["errors"]["password"]
    assert errors == [
        "This password is too easy to guess. It must contain at least 30 characters besides the names of this service."
    ]
    assert api.sign_up("bob", "x1" * 15).status_code == 201
    assert api.sign_in("alice").status_code == 200, "existing passwords stay valid"
    assert "30 characters" in password_validators_help_text_html()
    assert "At least 30 characters." in api.get("/").text


def test_a_password_that_is_too_long_is_not_hashed(api, monkeypatch):
    monkeypatch.setattr("django.contrib.auth.base_user.make_password", None)

    assert api.sign_up("alice", "x" * 60_000).status_code == 400


@pytest.mark.parametrize(
    "old_hash",
    [
        make_password(PASSWORD, hasher="pbkdf2_sha256"),
        "argon2$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$",
    ],
    ids=["pbkdf2", "weaker argon2"],
)
def test_an_older_hash_is_upgraded_at_sign_in(api, old_hash):
    if old_hash.endswith("$"):
        old_hash = "argon2" + PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    user = make_user("alice")
    stamp = user.security_stamp
    User.objects.update(password=old_hash, security_stamp=F("security_stamp"))

    assert api.sign_in("alice").status_code == 200

    user.refresh_from_db()
    assert user.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert (user.security_stamp, user.token_version) == (stamp, 0)
    assert api.sign_in("alice").status_code == 200


def test_a_wrong_password_does_not_upgrade_the_hash(api):
    make_user("alice")
    old_hash = make_password(PASSWORD, hasher="pbkdf2_sha256")
    User.objects.update(password=old_hash, security_stamp=F("security_stamp"))

    api.sign_in("alice", "wrong password")

    assert User.objects.get().password == old_hash


def test_a_hash_upgrade_does_not_overwrite_a_concurrent_password_change():
    user = make_user("alice")
    user.password = make_password(PASSWORD, hasher="pbkdf2_sha256")
    user.save()
    other = User.objects.get()
    other.set_password("another good one")
    other.save()

    assert user.check_password(PASSWORD)

    assert User.objects.get().check_password("another good one")


@pytest.mark.parametrize(
    ("password", "is_accepted"),
    [
        ("orders2026!", False),
        ("0rders-0rders-1", False),
        ("ExampleShop7", False),
        ("P4ssw0rd47", False),
        ("moderator!1", False),
        ("AdminPasswd!", False),
        ("P4ssw0rd4711", True),
        ("moderator!!1", True),
        ("orders of magnitude", True),
        ("my exampleshop kettle", True),
        ("trombone8000", True),
    ],
)
def test_a_password_of_context_words_is_rejected(api, override_auth, password, is_accepted):
    override_auth(audience=("auth", "orders"), public_url="https://auth.exampleshop.com:8000")

    response = api.sign_up("alice", password)

    assert response.status_code == (201 if is_accepted else 400)
    assert is_accepted or "too easy to guess" in " ".join(response.json()["errors"]["password"])


def test_every_documented_source_of_context_words_is_used(override_auth):
    override_auth(
        audience=("orders",),
        issuer="https://issuer.test",
        cookie_domain="company.example",
        signup_roles=("editor",),
    )

    assert {"orders", "issuer", "company", "example"} <= set(service_names(auth_settings()))
    assert {"editor", *COMMON_WORDS} <= set(common_words(auth_settings()))


@pytest.fixture
def breached(tmp_path, override_auth):
    """Write a list in the format of Have I Been Pwned, and return its 3000 passwords in the order of the list."""
    passwords = [f"breached number {number}" for number in range(3000)]
    digests = sorted(hashlib.sha1(password.encode()).hexdigest().upper() for password in passwords)
    path = tmp_path / "pwned.txt"
    path.write_text("".join(f"{digest}:{position * 37}\r\n" for position, digest in enumerate(digests)))
    override_auth(breached_passwords=str(path))
    by_digest = {hashlib.sha1(password.encode()).hexdigest().upper(): password for password in passwords}
    return [by_digest[digest] for digest in digests]


def test_exactly_the_listed_passwords_are_rejected(breached):
    for password in breached:
        with pytest.raises(ValidationError, match="breach"):
            BreachedPasswordValidator().validate(password)
    for number in range(3000, 4000):
        BreachedPasswordValidator().validate(f"breached number {number}")


def test_a_breached_password_is_rejected_at_sign_up_change_and_reset(
    api, breached, signed_in, mailed_token, assert_refused
):
    assert api.sign_up("alice", breached[7]).status_code == 400
    change = {"currentPassword": PASSWORD, "newPassword": breached[0]}
    assert_refused(api.post("/api/auth/password/change", change, signed_in.access_token), 400, "invalid_request")
    api.post("/api/auth/password/reset", {"email": User.objects.get().email})
    confirm = {"token": mailed_token(), "newPassword": breached[-1]}
    assert_refused(api.post("/api/auth/password/reset/confirm", confirm), 400, "invalid_request")


def test_no_password_is_accepted_while_the_list_is_missing(api, breached, override_auth, tmp_path, assert_refused):
    (tmp_path / "pwned.txt").unlink()

    assert_refused(api.sign_up("alice"), 503, "unavailable")


def test_an_empty_list_rejects_no_password(override_auth, tmp_path):
    (tmp_path / "empty").touch()
    override_auth(breached_passwords=str(tmp_path / "empty"))

    BreachedPasswordValidator().validate("breached number 7")


def test_at_least_3000_common_passwords_are_rejected():
    """Count only common passwords that meet the minimum length (OWASP ASVS 5.0, 6.2.4)."""
    assert sum(len(password) >= MIN_PASSWORD_LENGTH for password in CommonPasswordValidator().passwords) >= 3000
