"""A failed password check costs the same for every account, as long as users have imported hashes and after."""

import hashlib
import json
from collections import Counter
from contextlib import suppress
from io import StringIO

import argon2
import bcrypt
import pytest
from django.contrib.auth.hashers import (
    PBKDF2PasswordHasher,
    ScryptPasswordHasher,
    make_password,
)
from django.core.management import CommandError, call_command

from accounts.models import PasswordCost, User
from accounts.passwords import equal_cost
from accounts.passwords.hashers import OwaspArgon2idHasher
from accounts.values.password_hashes import HashCost
from tests.factories import PASSWORD, make_user, password_hash

SALT = "somesaltsomesaltsomesalt"


def _bcrypt(rounds):
    return "bcrypt$" + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds)).decode()


def _argon2(memory, passes, lanes=1):
    return f"argon2$argon2i$v=19$m={memory},t={passes},p={lanes}$c29tZXNhbHRzb21lc2FsdA$AAAA"


HASHES = {
    "current": make_password(PASSWORD),
    "pbkdf2": PBKDF2PasswordHasher().encode(PASSWORD, SALT, 900),
    "cheap_pbkdf2": PBKDF2PasswordHasher().encode(PASSWORD, SALT, 7),
    "bcrypt": _bcrypt(4),
    "dear_bcrypt": _bcrypt(7),
    "bcrypt_sha256": make_password(PASSWORD, bcrypt.gensalt(5), "bcrypt_sha256"),
    "scrypt": ScryptPasswordHasher().encode(PASSWORD, SALT, 16, 8, 1),
    "dear_scrypt": ScryptPasswordHasher().encode(PASSWORD, SALT, 16, 8, 3),
    "argon2i": "argon2" + argon2.PasswordHasher(3, 64, 2, type=argon2.Type.I).hash(PASSWORD),
    # With the parameters of new hashes. Its length decides that argon2-cffi verifies it, and not libsodium.
    "short_argon2id": "argon2" + argon2.PasswordHasher(2, 19456, 1, hash_len=24).hash(PASSWORD),
    "unusable": "!",
}


@pytest.fixture
def work(monkeypatch):
    """Count the work of every hash function, by its algorithm and parameters."""
    done = Counter()

    def count(owner, name, cost):
        original = getattr(owner, name)

        def counting(*args, **options):
            key, amount = cost(*args, **options)
            done[key] += amount
            return original(*args, **options)

        monkeypatch.setattr(owner, name, counting)

    count(hashlib, "pbkdf2_hmac", lambda digest, _password, _salt, iterations, *_: (digest, iterations))
    count(hashlib, "scrypt", lambda *_, n, r, p, **__: (f"scrypt {n} {r}", p))
    count(bcrypt, "hashpw", lambda _password, salt: ("bcrypt", 2 ** int(salt[4:6])))
    count(OwaspArgon2idHasher, "encode", lambda *_: ("argon2 current", 1))
    count(OwaspArgon2idHasher, "verify", lambda _self, _password, encoded: (_argon2_kind(encoded), 1))
    count(equal_cost, "hash_secret", lambda *_, **options: (f"argon2 {options['memory_cost']}", 1))
    return done


def _argon2_kind(encoded):
    imported = {"$m=64,": "argon2 64", HASHES["short_argon2id"]: "argon2 19456"}
    return next((kind for part, kind in imported.items() if part in encoded), "argon2 current")


def import_all(tmp_path, hashes):
    entries = (
        {"pk": 1, "fields": {"username": name, "email": f"{name}@example.com", "password": encoded}}
        for name, encoded in hashes.items()
    )
    return import_entries(tmp_path, entries)


def import_entries(tmp_path, entries):
    path, output = tmp_path / "users", StringIO()
    path.write_text("\n".join(map(json.dumps, entries)))
    with suppress(CommandError):  # for refused accounts
        call_command("import_users", str(path), stdout=output, stderr=StringIO())
    return [json.loads(line) for line in output.getvalue().splitlines()]


def purge():
    call_command("purge_expired_tokens", stdout=StringIO())


def costs():
    return dict(PasswordCost.objects.values_list("kind", "amount"))


ALL_COSTS = {
    "pbkdf2_sha256": 900,
    "bcrypt": 128,
    "scrypt$16$8": 3,
    "argon2$argon2i$19$64$3$2": 1,
    "argon2$argon2id$19$19456$2$1": 1,
}
ALL_WORK = {
    "sha256": 900, "bcrypt": 128, "scrypt 16 8": 3, "argon2 64": 1, "argon2 19456": 1, "argon2 current": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("nobody", PASSWORD),
        *((name, "wrong password") for name in HASHES),
        ("malformed", PASSWORD),
        *(
            (f"gone_{name}", password)
            for name in ("current", "pbkdf2")
            for password in (PASSWORD, "wrong password")
        ),
    ],
)
def test_a_failed_sign_in_does_the_same_work_for_every_account(api, tmp_path, work, username, password):
    import_all(tmp_path, HASHES)
    make_user("malformed")
    User.objects.filter(username="malformed").update(password="pbkdf2_sha256$-5$salt$hash")
    for name in ("current", "pbkdf2"):
        make_user(f"gone_{name}", is_active=False)
        User.objects.filter(username=f"gone_{name}").update(password=HASHES[name])
    work.clear()

    assert api.sign_in(username, password).status_code == 401
    assert work == ALL_WORK


@pytest.mark.parametrize("username", ["nobody", "malformed", *HASHES])
def test_a_password_in_another_unicode_form_costs_one_new_hash_more_for_every_account(
    api, tmp_path, work, username
):
    import_all(tmp_path, HASHES)
    make_user("malformed")
    User.objects.filter(username="malformed").update(password="pbkdf2_sha256$-5$salt$hash")
    work.clear()

    assert api.sign_in(username, "a\u0308 wrong password").status_code == 401
    assert work == {**ALL_WORK, "argon2 current": 2}


@pytest.mark.parametrize("name", ["nobody", "current"])
def test_a_failed_sign_in_does_no_other_work_after_the_last_imported_hash_is_upgraded(api, tmp_path, work, name):
    import_all(tmp_path, {"current": password_hash(), "alice": HASHES["pbkdf2"], "bob": HASHES["pbkdf2"]})
    assert api.sign_in("alice").status_code == 200
    purge()
    assert costs() == {"pbkdf2_sha256": 900}

    assert api.sign_in("bob").status_code == 200
    purge()
    work.clear()
    api.sign_in(name, "wrong password")

    assert costs() == {}
    assert work == {"argon2 current": 1}


def test_an_import_stores_the_highest_cost_of_each_kind(tmp_path):
    import_all(tmp_path, HASHES)
    assert costs() == ALL_COSTS

    import_all(tmp_path, {"later": PBKDF2PasswordHasher().encode(PASSWORD, SALT, 901), "last": _bcrypt(6)})
    assert costs() == {**ALL_COSTS, "pbkdf2_sha256": 901}


TEXT = "e" * 53
PBKDF2_400_MS = f"pbkdf2_sha256$2000000$salt${'A' * 43}="
BCRYPT_482_MS = f"bcrypt$$2b$13${TEXT}"
BCRYPT_964_MS = f"bcrypt$$2b$14${TEXT}"


def test_an_import_refuses_hashes_with_which_all_kinds_together_would_cost_more_than_a_second(tmp_path):
    hashes = {
        "a": PBKDF2_400_MS,
        "b": BCRYPT_482_MS,
        "c": BCRYPT_964_MS,
        "d": _argon2(65536, 4),
        "e": PBKDF2_400_MS,
    }
    stored = {"pbkdf2_sha256": 2_000_000, "bcrypt": 2**13}

    results = import_all(tmp_path, hashes)

    allowed = (
        "Allowed: at most 1000 ms for the costliest imported hash of every kind together; present: bcrypt 482 ms"
    )
    reason = f"password: The hash costs too much to verify. {allowed}, pbkdf2_sha256 400 ms; this hash:"
    assert [line.get("refused") for line in results] == [
        None, None, f"{reason} bcrypt 964 ms.", f"{reason} argon2 175 ms.", None,
    ]  # fmt: skip
    assert costs() == stored
    assert list(User.objects.order_by("username").values_list("username", flat=True)) == ["a", "b", "e"]

    assert import_all(tmp_path, {"f": BCRYPT_964_MS, "g": PBKDF2_400_MS, "h": HASHES["current"]})[0]["refused"]
    assert costs() == stored
    assert User.objects.count() == 5


def test_an_account_refused_for_its_cost_does_not_occupy_its_name(tmp_path):
    import_all(tmp_path, {"a": PBKDF2_400_MS, "b": BCRYPT_482_MS})
    fields = {"username": "carol", "email": "carol@example.com"}
    entries = [{"pk": 1, "fields": {**fields, "password": encoded}} for encoded in (BCRYPT_964_MS, "!")]

    refused, imported = import_entries(tmp_path, entries)

    assert "costs too much" in refused["refused"]
    assert imported["id"] == User.objects.get(username="carol").pk


def test_the_default_hashes_of_django_are_imported_together(tmp_path):
    hashes = {name: make_password(PASSWORD, hasher=name) for name in ("pbkdf2_sha256", "scrypt", "bcrypt_sha256")}

    results = import_all(tmp_path, {**hashes, "argon2": _argon2(102400, 2, lanes=8)})

    assert all("id" in line for line in results)


@pytest.mark.parametrize(
    "encoded",
    [
        PBKDF2_400_MS,
        BCRYPT_964_MS,
        f"pbkdf2_sha1$2000000$salt${'A' * 27}=",
        f"scrypt$131072$salt$8$1${'A' * 86}==",
        "argon2$argon2id$v=19$m=262144,t=4,p=16$c29tZXNhbHRzb21lc2FsdA$AAAA",
    ],
)
def test_one_hash_at_the_limit_of_its_algorithm_is_imported(tmp_path, encoded):
    assert import_all(tmp_path, {"alice": encoded})[0]["id"]


def test_an_import_over_the_limit_from_before_it_existed_accepts_hashes_that_add_nothing(tmp_path):
    PasswordCost.objects.remember([HashCost("bcrypt", 2**14), HashCost("pbkdf2_sha256", 2_000_000)])

    accepted, refused = import_all(tmp_path, {"a": PBKDF2_400_MS, "b": HASHES["scrypt"]})

    assert "id" in accepted
    assert "refused" in refused


def test_a_purge_lowers_the_cost_to_the_highest_that_remains(api, tmp_path):
    import_all(tmp_path, HASHES)
    api.sign_in("pbkdf2")
    api.sign_in("argon2i")
    api.sign_in("short_argon2id")

    purge()

    assert costs() == {"pbkdf2_sha256": 7, "bcrypt": 128, "scrypt$16$8": 3}


def test_a_cost_that_an_import_stores_during_a_purge_remains():
    cost = HashCost("pbkdf2_sha256", 900)
    PasswordCost.objects.remember([cost])

    def users_read_before_the_import():
        PasswordCost.objects.remember([cost])
        yield from ()

    PasswordCost.objects.forget(users_read_before_the_import())

    assert costs() == {"pbkdf2_sha256": 900}


def test_a_dry_run_of_the_purge_deletes_no_cost():
    PasswordCost.objects.remember([HashCost("bcrypt", 16)])

    call_command("purge_expired_tokens", "--dry-run", stdout=StringIO())

    assert costs() == {"bcrypt": 16}


def test_a_hash_that_was_stored_past_the_import_is_noticed_at_a_failed_sign_in(api, work):
    make_user("alice")
    User.objects.update(password=HASHES["pbkdf2"])
    api.sign_in("alice", "wrong password")
    work.clear()

    api.sign_in("nobody", "wrong password")

    assert work == {"sha256": 900, "argon2 current": 1}


@pytest.mark.parametrize("password", ["x" * 128, "🙂" * 128, "a\0b", ""])
def test_any_password_can_be_spent(password):
    PasswordCost.objects.remember(HashCost(kind, amount) for kind, amount in ALL_COSTS.items())

    equal_cost.spend_remaining(None, password)
