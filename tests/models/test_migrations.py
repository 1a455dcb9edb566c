"""No migration is missing, and migrations can be reversed and reapplied."""

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.utils import timezone

from accounts.models import KnownOrigin, PasswordCost, User
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
    assert amounts == {"pbkdf2_sha256": 1_000_000, "scrypt$16384$8": 5}
