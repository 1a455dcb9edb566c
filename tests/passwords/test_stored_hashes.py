"""Hashes in the database: which formats and costs are accepted, and what a hash that cannot be verified does."""

import logging
from functools import cache

import bcrypt
import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.db.models import F
from django.test import Client

from accounts.models import User
from accounts.models.password_verification import _log_unverifiable
from accounts.values.password_hashes import CostlyHash, HashCost, MalformedHash, parse_cost
from tests.factories import PASSWORD, make_administrator, make_user, password_hash

DIGEST = "A" * 43 + "="
SHA1_DIGEST = "A" * 27 + "="
SCRYPT_DIGEST = "A" * 86 + "=="
BCRYPT_TEXT = "LtXDMae9bj9fj8WHf7hcxOGZT5OtkxCCKHQ7VsJOvC8AXMZwzhxpa"
MALFORMED = [
    "",
    "plain text",
    "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
    "pbkdf2_sha256",
    f"pbkdf2_sha256$-5$salt${DIGEST}",
    f"pbkdf2_sha256$0$salt${DIGEST}",
    f"pbkdf2_sha256$007$salt${DIGEST}",
    f"pbkdf2_sha256$1_000$salt${DIGEST}",
    f"pbkdf2_sha256$١$salt${DIGEST}",
    f"pbkdf2_sha256${'9' * 60}$salt${DIGEST}",
    f"pbkdf2_sha256$1$${DIGEST}",
    f"pbkdf2_sha256$1$sält${DIGEST}",
    f"pbkdf2_sha256$1$salt${DIGEST}\n",
    "pbkdf2_sha256$1$salt$hash",
    f"pbkdf2_sha256$1$salt${'A' * 42}B=",
    f"pbkdf2_sha256$1$salt${SHA1_DIGEST}",
    f"pbkdf2_sha1$1$salt${DIGEST}",
    "scrypt$3",
    f"scrypt$3$salt$8$1${SCRYPT_DIGEST}",
    f"scrypt$1$salt$8$1${SCRYPT_DIGEST}",
    f"scrypt$16384$salt$0$1${SCRYPT_DIGEST}",
    f"scrypt$16384$salt$8$1${DIGEST}",
    "argon2$argon2id",
    "argon2$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$",
    "argon2$argon2id$v=19$m=8,t=1,p=4$c29tZXNhbHRzb21lc2FsdA$AAAA",
    "argon2$argon2id$v=19$m=8,t=0,p=1$c29tZXNhbHRzb21lc2FsdA$AAAA",
    "argon2$argon2id$v=19$m=8,t=1,p=1$c2FsdA$AAAA",
    "argon2$argon2x$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAA",
    f"argon2$argon2id$v=19$m=19456,t=2,p=1${'A' * 25}${'A' * 43}",
    f"argon2$argon2id$v=19$m=19456,t=2,p=1${'A' * 21}B${'A' * 43}",
    f"argon2$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 42}B",
    "bcrypt$$2b$12$short",
    f"bcrypt$$2b$03${BCRYPT_TEXT}",
    f"bcrypt$$2x$12${BCRYPT_TEXT}",
    f"bcrypt$$2b$12${BCRYPT_TEXT[:21]}P{BCRYPT_TEXT[22:]}",
    f"bcrypt_sha256$$2b$12${BCRYPT_TEXT}\n",
]
COSTLY = {
    f"pbkdf2_sha256$50000000$salt${DIGEST}": "at most 2000000 iterations",
    f"pbkdf2_sha256$99999999999$salt${DIGEST}": "at most 2000000 iterations",
    f"pbkdf2_sha1$2000001$salt${SHA1_DIGEST}": "at most 2000000 iterations",
    f"scrypt$1048576$salt$8$1${SCRYPT_DIGEST}": "at most 134217728 bytes of memory",
    f"scrypt$16384$salt$8$9${SCRYPT_DIGEST}": "at most 1048576 as the product",
    "argon2$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAA": "at most 262144 KiB of memory",
    "argon2$argon2id$v=19$m=102400,t=11,p=8$c29tZXNhbHRzb21lc2FsdA$AAAA": "at most 1048576 KiB of memory in all",
    "argon2$argon2id$v=19$m=102400,t=1,p=17$c29tZXNhbHRzb21lc2FsdA$AAAA": "at most 16 lanes",
    f"bcrypt$$2b$15${BCRYPT_TEXT}": "at most 14 rounds",
    f"bcrypt_sha256$$2b$31${BCRYPT_TEXT}": "at most 14 rounds",
}


def make_user_with(encoded):
    user = make_user("alice")
    user.password = encoded
    user.save()
    return user


@pytest.fixture(autouse=True)
def _nothing_is_logged_yet():
    _log_unverifiable.cache_clear()


@pytest.mark.parametrize("encoded", MALFORMED)
def test_a_hash_that_no_hasher_could_have_written_is_malformed(encoded):
    with pytest.raises(MalformedHash):
        parse_cost(encoded)


@pytest.mark.parametrize(("encoded", "limit"), COSTLY.items())
def test_a_hash_that_costs_more_than_a_limit_is_rejected_with_the_limit(encoded, limit):
    with pytest.raises(CostlyHash, match=limit):
        parse_cost(encoded)


@pytest.mark.parametrize(
    ("algorithm", "cost"),
    [
        ("argon2", HashCost("argon2$argon2id$19$19456$2$1", 1)),
        ("pbkdf2_sha256", HashCost("pbkdf2_sha256", PBKDF2PasswordHasher.iterations)),
        ("pbkdf2_sha1", HashCost("pbkdf2_sha1", PBKDF2PasswordHasher.iterations)),
        ("scrypt", HashCost("scrypt$16384$8", 5)),
        ("bcrypt", HashCost("bcrypt", 4096)),
        ("bcrypt_sha256", HashCost("bcrypt", 4096)),
    ],
)
def test_the_hashes_of_every_hasher_are_accepted_with_their_cost(algorithm, cost):
    assert parse_cost(_hash(algorithm)) == cost


@cache
def _hash(algorithm):
    return make_password(PASSWORD, hasher=algorithm)


@pytest.mark.parametrize("encoded", [*MALFORMED, *COSTLY])
def test_a_hash_that_cannot_be_verified_counts_as_a_wrong_password(api, assert_refused, encoded):
    user = make_user_with(encoded)

    assert_refused(api.sign_in("alice"), 401, "invalid_credentials")
    user.refresh_from_db()
    assert user.password == encoded


@pytest.mark.parametrize("encoded", [MALFORMED[4], *list(COSTLY)[:1]])
def test_the_same_holds_for_reauthentication_password_change_and_the_admin(signed_in, assert_refused, encoded):
    make_administrator()
    User.objects.update(password=encoded, security_stamp=F("security_stamp"))
    passwords = {"currentPassword": PASSWORD, "newPassword": "another good one"}

    response = signed_in.post("/api/auth/reauthenticate", {"password": PASSWORD}, signed_in.access_token)
    assert_refused(response, 403, "invalid_password")
    response = signed_in.post("/api/auth/password/change", passwords, signed_in.access_token)
    assert_refused(response, 403, "invalid_password")
    page = Client().post("/admin/login/", {"username": "root", "password": PASSWORD})
    assert "Please enter the correct username and password" in page.text


def test_whatever_a_hasher_raises_counts_as_a_wrong_password(api, monkeypatch, assert_refused):
    make_user_with(f"pbkdf2_sha256$1$salt${DIGEST}")

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(PBKDF2PasswordHasher, "verify", fail)

    assert_refused(api.sign_in("alice"), 401, "invalid_credentials")


def test_a_hash_that_cannot_be_verified_is_logged_once_without_the_hash(api, caplog):
    user = make_user_with(MALFORMED[4])

    api.sign_in("alice")
    api.sign_in("alice")

    (record,) = (record for record in caplog.records if record.name == "accounts.passwords")
    assert (record.levelno, record.user_id, record.error) == (logging.ERROR, user.pk, "MalformedHash")
    assert "salt" not in str(vars(record))


def test_an_unusable_password_is_not_logged(api, caplog):
    make_user_with("!")

    assert api.sign_in("alice").status_code == 401
    assert not [record for record in caplog.records if record.name == "accounts.passwords"]


def test_the_owner_of_a_hash_that_cannot_be_verified_can_reset_the_password(api, mailed_token):
    make_user_with(MALFORMED[4])

    api.post("/api/auth/password/reset", {"email": "alice@example.com"})
    body = {"token": mailed_token(), "newPassword": "another good one"}
    assert api.post("/api/auth/password/reset/confirm", body).status_code == 204
    assert api.sign_in("alice", "another good one").status_code == 200


class TestBcrypt:
    def test_a_password_over_72_bytes_is_verified_by_its_first_72_and_then_stored_whole(self, api, assert_refused):
        long = "ä" * 50
        digest = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
        make_user_with(f"bcrypt${digest}")

        assert_refused(api.sign_in("alice", "ä" * 35), 401, "invalid_credentials")
        assert api.sign_in("alice", long).status_code == 200
        assert User.objects.get().password.startswith("argon2$argon2id$")
        assert_refused(api.sign_in("alice", "ä" * 36), 401, "invalid_credentials")

    @pytest.mark.parametrize("algorithm", ["bcrypt", "bcrypt_sha256"])
    @pytest.mark.parametrize("password", ["", "x" * 128, "🙂" * 128, "a\0b", "\ud800"])
    def test_no_password_leads_to_an_error(self, api, algorithm, password):
        make_user_with(_hash(algorithm))

        assert api.sign_in("alice", password).status_code in (400, 401)

    def test_a_password_with_a_nul_is_not_cut_at_it(self):
        user = make_user_with("bcrypt$" + bcrypt.hashpw(b"a", bcrypt.gensalt(4)).decode())

        assert user.check_password("a\0b") is False
        assert user.check_password("a") is True


def test_a_current_hash_is_verified_without_being_replaced(api):
    make_user("alice")
    api.sign_in("alice")

    assert User.objects.get().password == password_hash()
