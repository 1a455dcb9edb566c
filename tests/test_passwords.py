"""Rules for passwords, and how they are kept (NIST SP 800-63B, OWASP)."""

import pytest
from argon2 import PasswordHasher
from django.contrib.auth.hashers import make_password

from accounts.models import User
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
