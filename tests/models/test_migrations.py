"""No migration is missing, and migrations can be reversed and reapplied."""

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import KnownOrigin
from tests.factories import make_user


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
