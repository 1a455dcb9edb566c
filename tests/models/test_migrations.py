"""No migration is missing, and migrations can be reversed and reapplied."""

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.utils import timezone

from accounts.models import KnownOrigin, PasswordCost, Service, User
from tests.conftest import Api
from tests.factories import PASSWORD, make_user


def test_no_migration_is_missing():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_the_latest_migrations_can_be_reversed_and_reapplied():
    user = make_user("alice")
    KnownOrigin.objects.remember(user, "a network", "a device", at=timezone.now())

    call_command("migrate", "accounts", "0001", verbosity=0)
    call_command("migrate", "accounts", verbosity=0)

    assert KnownOrigin.objects.values_list("user__username", "kind", "digest").get() == (
        "alice",
        "network",
        "a network",
    )


def _store_as_before_email_domains(name, email, key, **fields):
    user = make_user(name, **fields)
    User.objects.filter(pk=user.pk).update(email=email, email_key=key, email_verified_at=F("email_verified_at"))
    return user


def _rewrite_email_domains():
    call_command("migrate", "accounts", "0009", verbosity=0)
    call_command("migrate", "accounts", verbosity=0)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_addresses_with_a_unicode_domain_are_rewritten_and_found_in_every_spelling():
    _store_as_before_email_domains("alice", "Alice@Bücher.example", "alice@bücher.example")
    _store_as_before_email_domains("bob", "bob@EXAMPLE.com", "bob@example.com")

    _rewrite_email_domains()

    emails = dict(User.objects.values_list("username", "email"))
    assert emails == {"alice": "Alice@xn--bcher-kva.example", "bob": "bob@example.com"}
    for spelling in ("alice@bücher.example", "alice@xn--bcher-kva.example", "ALICE@BÜCHER.EXAMPLE"):
        assert Api().sign_in(spelling).json()["username"] == "alice"


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("verified", ["alice", "bob"])
def test_of_two_accounts_with_one_address_the_verified_one_keeps_it_and_both_stay_usable(verified, caplog):
    at = {name: timezone.now() if name == verified else None for name in ("alice", "bob")}
    alice = _store_as_before_email_domains(
        "alice", "a@bücher.example", "a@bücher.example", email_verified_at=at["alice"]
    )
    bob = make_user("bob", email="a@xn--bcher-kva.example", email_verified_at=at["bob"])

    _rewrite_email_domains()

    assert Api().sign_in("a@bücher.example").json()["username"] == verified
    assert {Api().sign_in(name).status_code for name in ("alice", "bob")} == {200}
    loser = bob if verified == "alice" else alice
    loser.refresh_from_db()
    loser.set_password(PASSWORD)
    loser.save()
    assert loser.email == "a@xn--bcher-kva.example"
    assert f"User {loser.pk} can sign in by username only" in caplog.text
    assert User.objects.get_queryset().with_prefix("duplicate").get() == loser


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_an_address_whose_email_went_to_another_domain_must_be_verified_again():
    now = timezone.now()
    _store_as_before_email_domains("alice", "a@straße.example", "a@strasse.example", email_verified_at=now)
    _store_as_before_email_domains("bob", "b@bücher.example", "b@bücher.example", email_verified_at=now)

    _rewrite_email_domains()

    verified = dict(User.objects.values_list("username", "email_verified_at"))
    assert verified == {"alice": None, "bob": now}
    assert User.objects.with_email("a@straße.example").get().username == "alice"
    assert not User.objects.with_email("a@strasse.example").exists()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_migration_stores_the_costs_of_hashes_that_were_imported_before():
    hashes = {"alice": "pbkdf2_sha256", "bob": "scrypt", "carol": "argon2", "dora": None}
    for name, hasher in hashes.items():
        user = make_user(name)
        User.objects.filter(pk=user.pk).update(
            password="!" if hasher is None else make_password(PASSWORD, hasher=hasher)
        )

    call_command("migrate", "accounts", "0009", verbosity=0)
    call_command("migrate", "accounts", verbosity=0)

    amounts = dict(PasswordCost.objects.values_list("kind", "amount"))
    assert amounts == {"pbkdf2_sha256": PBKDF2PasswordHasher.iterations, "scrypt$16384$8": 5}


@pytest.mark.parametrize(
    ("table", "new_columns"),
    [
        ("accounts_refreshtoken", {"kind", "scope", "application_id", "parent_id"}),
        ("accounts_service", {"audiences", "roles"}),
    ],
)
def test_the_previous_release_inserts_rows_without_the_columns_of_single_sign_on(signed_in, table, new_columns):
    Service.objects.create(client_id="orders", audience="orders")
    key = "uuid" if table == "accounts_refreshtoken" else "id"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        row = dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
        cursor.execute(f"DELETE FROM {table} WHERE {key} = %s", [row[key]])
        old = {name: value for name, value in row.items() if name not in {*new_columns, "expires_on"}}
        places = ", ".join(["%s"] * len(old))
        cursor.execute(f"INSERT INTO {table} ({', '.join(old)}) VALUES ({places})", list(old.values()))
        cursor.execute(f"SELECT * FROM {table}")
        stored = dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))

    assert stored == row
    assert signed_in.refresh(signed_in.refresh_token).status_code == 200
    assert Service.objects.get().audiences == []
