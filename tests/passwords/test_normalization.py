"""A password is the same however a device composes its characters and spaces (RFC 8265, OpaqueString)."""

import hashlib
import json
import sys
import unicodedata
from io import StringIO

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client

from accounts.models import User
from accounts.passwords.hashers import OwaspArgon2idHasher
from accounts.values.passwords import normalize_password
from tests.factories import make_administrator, make_user

COMPOSED = "gro\u00dfe \u00e4pfel \u1e69"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)
FORMS = [COMPOSED, DECOMPOSED, COMPOSED.replace(" ", "\u00a0"), DECOMPOSED.replace(" ", "\u3000")]
OTHERS = [COMPOSED + " ", "\u00a0" + COMPOSED, COMPOSED.upper(), COMPOSED.replace("\u00df", "ss"), COMPOSED[:-1]]


def make_user_with(password, username="alice", **fields):
    user = make_user(username, **fields)
    user.set_password(password)
    user.save()
    return user


@pytest.mark.parametrize("stored", FORMS)
@pytest.mark.parametrize("typed", FORMS)
def test_a_password_signs_in_in_every_form(api, stored, typed):
    assert api.sign_up("alice", stored).status_code == 201

    assert api.sign_in("alice", typed).status_code == 200


@pytest.mark.parametrize("typed", OTHERS)
def test_nothing_else_is_changed(api, assert_refused, typed):
    api.sign_up("alice", DECOMPOSED)

    assert_refused(api.sign_in("alice", typed), 401, "invalid_credentials")


def test_compatibility_characters_are_different_passwords(api, assert_refused):
    api.sign_up("alice", "\ufb01ve golden r\u2160ngs")

    assert_refused(api.sign_in("alice", "five golden rIngs"), 401, "invalid_credentials")


def test_every_space_of_unicode_is_one_space():
    spaces = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Zs"]

    assert {normalize_password(f"a{space}b") for space in spaces} == {"a b"}
    assert normalize_password("a\t\u200bb") == "a\t\u200bb"


def test_a_password_is_reauthenticated_changed_and_reset_in_any_form(api, mailed_token):
    make_user_with(COMPOSED)
    token = api.sign_in("alice", COMPOSED).json()["accessToken"]

    assert api.post("/api/auth/reauthenticate", {"password": DECOMPOSED}, token).status_code == 200
    change = {"currentPassword": DECOMPOSED, "newPassword": DECOMPOSED + "2"}
    assert api.post("/api/auth/password/change", change, token).status_code == 204
    assert api.sign_in("alice", COMPOSED + "2").status_code == 200

    api.post("/api/auth/password/reset", {"email": "alice@example.com"})
    confirm = {"token": mailed_token(), "newPassword": DECOMPOSED + "3"}
    assert api.post("/api/auth/password/reset/confirm", confirm).status_code == 204
    assert api.sign_in("alice", COMPOSED + "3").status_code == 200


def test_an_administrator_signs_in_and_sets_passwords_in_any_form(api):
    root = make_administrator()
    root.set_password(COMPOSED)
    root.save()
    alice, browser = make_user("alice"), Client()

    assert browser.post("/admin/login/", {"username": "root", "password": DECOMPOSED}).status_code == 302
    passwords = {"password1": DECOMPOSED, "password2": DECOMPOSED, "usable_password": "true"}
    assert browser.post(f"/admin/accounts/user/{alice.pk}/password/", passwords).status_code == 302
    assert api.sign_in("alice", COMPOSED).status_code == 200


def test_the_commands_set_passwords_in_any_form(api, monkeypatch):
    typed = iter([DECOMPOSED, COMPOSED])
    monkeypatch.setattr("accounts.management.commands.changepassword.getpass", lambda _: next(typed))
    make_user("alice")
    call_command("changepassword", "alice", stdout=StringIO())
    assert api.sign_in("alice", COMPOSED).status_code == 200

    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", DECOMPOSED)
    names = {"username": "root", "email": "root@example.com"}
    call_command("createsuperuser", interactive=False, stdout=StringIO(), **names)
    assert api.sign_in("root", COMPOSED).status_code == 200


@pytest.mark.parametrize("hasher", ["default", "pbkdf2_sha256", "bcrypt_sha256"])
def test_an_older_hash_is_verified_as_typed_and_then_upgraded(api, assert_refused, hasher):
    make_user("alice")
    User.objects.update(password=make_password(DECOMPOSED, hasher=hasher))

    assert_refused(api.sign_in("alice", COMPOSED), 401, "invalid_credentials")
    assert api.sign_in("alice", DECOMPOSED).status_code == 200
    assert api.sign_in("alice", COMPOSED).status_code == 200
    assert api.sign_in("alice", DECOMPOSED).status_code == 200


def test_an_imported_hash_is_verified_as_typed(api, tmp_path):
    fields = {"username": "alice", "email": "alice@example.com", "password": make_password(DECOMPOSED)}
    (tmp_path / "users").write_text(json.dumps({"pk": 1, "fields": fields}))
    call_command("import_users", str(tmp_path / "users"), stdout=StringIO(), stderr=StringIO())

    assert api.sign_in("alice", DECOMPOSED).status_code == 200
    assert api.sign_in("alice", COMPOSED).status_code == 200


@pytest.mark.parametrize("form", [COMPOSED, DECOMPOSED])
def test_after_the_first_sign_in_an_imported_hash_accepts_every_form(api, assert_refused, form):
    make_user("alice")
    User.objects.update(password=make_password(form, hasher="bcrypt_sha256"))
    (other,) = {COMPOSED, DECOMPOSED} - {form}

    assert_refused(api.sign_in("alice", other), 401, "invalid_credentials")
    assert api.sign_in("alice", form).status_code == 200
    assert [api.sign_in("alice", typed).status_code for typed in FORMS] == [200] * len(FORMS)


def test_a_normalized_hash_is_not_hashed_again(api):
    user = make_user_with(COMPOSED)

    api.sign_in("alice", DECOMPOSED)

    assert User.objects.get().password == user.password


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("e\u0301" * 7, "at least 8"),
        ("e\u0301x\u030a7" * 43, "at most 128"),
        ("e\u0301" * 128, None),
        ("alice\u0301.liddell", "too similar"),
    ],
)
def test_validators_judge_the_normalized_form(api, password, reason):
    response = api.sign_up("alic\u00e9.liddell", password, email="a@example.com")

    if reason is None:
        assert response.status_code == 201
        assert api.sign_in("alic\u00e9.liddell", password).status_code == 200
        assert api.sign_in("alic\u00e9.liddell", normalize_password(password)).status_code == 200
    else:
        assert reason in " ".join(response.json()["errors"]["password"])


def test_breached_passwords_are_compared_in_normalized_form(override_auth, tmp_path):
    digest = hashlib.sha1(COMPOSED.encode()).hexdigest().upper()
    (tmp_path / "pwned.txt").write_text(f"{digest}:1\n")
    override_auth(breached_passwords=str(tmp_path / "pwned.txt"))

    with pytest.raises(ValidationError, match="breach"):
        validate_password(DECOMPOSED)


@pytest.mark.parametrize("username", ["nobody", "alice", "gone", "unusable"])
@pytest.mark.parametrize(("typed", "hashes"), [(COMPOSED + "x", 1), (DECOMPOSED + "x", 2), (DECOMPOSED, 2)])
def test_the_work_of_a_failed_sign_in_depends_on_the_typed_text_alone(api, monkeypatch, username, typed, hashes):
    make_user_with("another good one")
    make_user_with(COMPOSED, "gone", is_active=False)
    make_user_with(None, "unusable")
    work = []
    for name in ("encode", "verify"):
        original = getattr(OwaspArgon2idHasher, name)
        monkeypatch.setattr(
            OwaspArgon2idHasher, name, lambda *args, original=original: work.append(1) or original(*args)
        )

    assert api.sign_in(username, typed).status_code == 401
    assert len(work) == hashes
