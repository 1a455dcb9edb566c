"""Rules for passwords, and how they are kept (NIST SP 800-63B, OWASP)."""

import hashlib

import pytest
from argon2 import PasswordHasher
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError

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


def test_passwords_are_hashed_with_argon2id_at_owasps_setting(api):
    api.sign_up("alice")

    assert User.objects.get().password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    "password", ["eightchr", "x" * 60 + "7" * 68, "tr0ub4dor&3 " * 2, "пароль-пароль", "   spaces   ", "🙂" * 8]
)
def test_any_characters_will_do_from_8_to_128(api, password):
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
def test_a_password_that_will_not_do_is_refused_with_the_reason(api, password, reason):
    answer = api.sign_up("alice.liddell", password)

    if reason is None:
        assert answer.status_code == 201
    else:
        assert answer.status_code == 400
        assert reason in " ".join(answer.json()["errors"]["password"])


def test_nothing_is_hashed_for_a_password_that_is_too_long(api, monkeypatch):
    monkeypatch.setattr("django.contrib.auth.base_user.make_password", None)

    assert api.sign_up("alice", "x" * 60_000).status_code == 400


@pytest.mark.parametrize(
    "old",
    [
        make_password(PASSWORD, hasher="pbkdf2_sha256"),
        "argon2$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$",
    ],
    ids=["pbkdf2", "weaker argon2"],
)
def test_an_older_hash_is_upgraded_at_sign_in(api, old):
    if old.endswith("$"):
        old = "argon2" + PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    user = make_user("alice")
    stamp = user.security_stamp
    User.objects.update(password=old)

    assert api.sign_in("alice").status_code == 200

    user.refresh_from_db()
    assert user.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert (user.security_stamp, user.token_version) == (stamp, 0)
    assert api.sign_in("alice").status_code == 200


def test_a_wrong_password_upgrades_nothing(api):
    make_user("alice")
    old = make_password(PASSWORD, hasher="pbkdf2_sha256")
    User.objects.update(password=old)

    api.sign_in("alice", "wrong password")

    assert User.objects.get().password == old


def test_an_upgrade_does_not_undo_a_change_of_password_made_meanwhile():
    user = make_user("alice")
    user.password = make_password(PASSWORD, hasher="pbkdf2_sha256")
    user.save()
    other = User.objects.get()
    other.set_password("another good one")
    other.save()

    assert user.check_password(PASSWORD)

    assert User.objects.get().check_password("another good one")


@pytest.mark.parametrize(
    ("password", "does"),
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
def test_words_that_anybody_would_guess_here_are_no_password(api, auth, password, does):
    auth(audience=("auth", "orders"), public_url="https://auth.exampleshop.com:8000")

    answer = api.sign_up("alice", password)

    assert answer.status_code == (201 if does else 400)
    assert does or "easily guessed here" in " ".join(answer.json()["errors"]["password"])


def test_every_word_of_the_documented_list_is_known(auth):
    auth(
        audience=("orders",),
        issuer="https://issuer.test",
        cookie_domain="company.example",
        signup_roles=("editor",),
    )

    assert {"orders", "issuer", "company", "example"} <= set(service_names(auth_settings()))
    assert {"editor", *COMMON_WORDS} <= set(common_words(auth_settings()))


@pytest.fixture
def breached(tmp_path, auth):
    """A list in the form of Have I Been Pwned's: some hundred thousand bytes, first and last line included."""
    passwords = [f"breached number {number}" for number in range(3000)]
    digests = sorted(hashlib.sha1(password.encode()).hexdigest().upper() for password in passwords)
    path = tmp_path / "pwned.txt"
    path.write_text("".join(f"{digest}:{place * 37}\r\n" for place, digest in enumerate(digests)))
    auth(breached_passwords=str(path))
    by_digest = {hashlib.sha1(password.encode()).hexdigest().upper(): password for password in passwords}
    return [by_digest[digest] for digest in digests]


def test_every_password_of_the_list_is_found_and_no_other(breached):
    for password in breached:
        with pytest.raises(ValidationError, match="breach"):
            BreachedPasswordValidator().validate(password)
    for number in range(3000, 4000):
        BreachedPasswordValidator().validate(f"breached number {number}")


def test_a_breached_password_is_refused_wherever_one_is_chosen(
    api, breached, signed_in, mailed_token, assert_refused
):
    assert api.sign_up("alice", breached[7]).status_code == 400
    change = {"currentPassword": PASSWORD, "newPassword": breached[0]}
    assert_refused(api.post("/api/auth/password/change", change, signed_in.access_token), 400, "invalid_request")
    api.post("/api/auth/password/reset", {"email": User.objects.get().email})
    confirm = {"token": mailed_token(), "newPassword": breached[-1]}
    assert_refused(api.post("/api/auth/password/reset/confirm", confirm), 400, "invalid_request")


def test_a_list_that_is_gone_lets_no_password_pass(api, breached, auth, tmp_path, assert_refused):
    (tmp_path / "pwned.txt").unlink()

    assert_refused(api.sign_up("alice"), 503, "unavailable")


def test_an_empty_list_holds_nothing(auth, tmp_path):
    (tmp_path / "empty").touch()
    auth(breached_passwords=str(tmp_path / "empty"))

    BreachedPasswordValidator().validate("breached number 7")


def test_more_than_3000_of_the_most_common_passwords_are_refused():
    """Of those that are long enough to be chosen at all (OWASP ASVS 5.0, 6.2.4)."""
    assert sum(len(password) >= MIN_PASSWORD_LENGTH for password in CommonPasswordValidator().passwords) >= 3000
