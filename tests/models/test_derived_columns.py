"""Columns that depend on another column follow it, whichever ORM method changes it."""

import pytest
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import F, Value
from django.db.models.functions import Upper
from django.utils import timezone

from accounts.models import User
from accounts.sessions import lifecycle
from accounts.values.authentication import BY_PASSWORD
from accounts.values.clients import NO_CLIENT
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user

CHANGES = {"username": "Alice-Å", "email": "Alice@EXAMPLE.org"}


def save(user):
    user.save()


def save_partly_loaded(user):
    partly = User.objects.only("created_at").get(pk=user.pk)
    for name, value in CHANGES.items():
        setattr(partly, name, value)
    partly.save()


def save_those_fields(user):
    user.save(update_fields=[*CHANGES])


def update(user):
    User.objects.filter(pk=user.pk).update(**CHANGES)


def update_in_bulk(user):
    User.objects.bulk_update([user], [*CHANGES])


def update_or_create(user):
    User.objects.update_or_create(pk=user.pk, defaults=CHANGES)


def upsert(user):
    row = User(id=user.pk, password="", **CHANGES)
    User.objects.bulk_create([row], update_conflicts=True, unique_fields=["id"], update_fields=[*CHANGES])


def upsert_loaded(user):
    User.objects.bulk_create([user], update_conflicts=True, unique_fields=["id"], update_fields=[*CHANGES])


WAYS = [
    save,
    save_partly_loaded,
    save_those_fields,
    update,
    update_in_bulk,
    update_or_create,
    upsert,
    upsert_loaded,
]


@pytest.mark.parametrize("write", WAYS)
def test_comparison_keys_follow_the_names(write, api):
    user = make_user("bob")
    for name, value in CHANGES.items():
        setattr(user, name, value)

    write(user)

    for identifier in ("aLICE-å", "alice@example.ORG"):
        assert api.sign_in(identifier).status_code == 200
    assert api.sign_in("bob").status_code == 401
    assert api.sign_up("alicE-å", email="new@example.com").json()["code"] == "username_taken"
    assert api.sign_up("bob").status_code == 201


@pytest.mark.parametrize("write", WAYS)
def test_another_email_address_is_not_verified(write):
    user = make_user("bob", email_verified_at=timezone.now())
    for name, value in CHANGES.items():
        setattr(user, name, value)

    write(user)

    assert User.objects.get(pk=user.pk).email_verified_at is None


def test_the_same_address_in_another_case_stays_verified():
    now = timezone.now()
    user = make_user("bob", email="bob@example.com", email_verified_at=now)
    user.email, user.fullname = "BOB@example.com", "Bob"

    user.save()

    assert User.objects.get(pk=user.pk).email_verified_at == now


def test_a_key_that_a_migration_marked_as_duplicate_stays_until_the_address_changes():
    user = make_user("bob", email="bob@example.com")
    marked = f"duplicate {user.pk}: bob@example.com"
    User.objects.filter(pk=user.pk).update(email_key=marked)
    user.refresh_from_db()
    user.save()
    assert User.objects.get(pk=user.pk).email_key == marked

    user.email = "bob@example.org"
    user.save()

    assert User.objects.get(pk=user.pk).email_key == "bob@example.org"


def test_a_name_that_another_account_has_is_refused_whatever_writes_it():
    make_user("alice")
    user = make_user("bob")
    user.username = "ALICE"

    for write in (
        lambda: user.save(update_fields=["username"]),
        lambda: User.objects.filter(pk=user.pk).update(username="ALICE"),
        lambda: User.objects.bulk_update([user], ["username"]),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            write()


@pytest.mark.parametrize("expression", [F("email"), Upper("username"), Value("alice")])
def test_a_name_is_not_set_to_an_expression_whose_key_is_unknown(expression):
    user = make_user("bob")

    with pytest.raises(ValueError, match="username must be set to text"):
        User.objects.filter(pk=user.pk).update(username=expression)


def test_many_passwords_are_changed_in_one_statement(django_assert_num_queries, assert_refused):
    users = [make_user() for _ in range(3)]
    sessions = [SignedIn(user.username) for user in users]
    for user in users:
        user.password = make_password("another horse battery")

    with django_assert_num_queries(2):  # one asks whether an application must be notified
        User.objects.bulk_update(users, ["password"])

    for session in sessions:
        assert_refused(session.content(), 401, "token_revoked")


def test_a_password_that_is_upserted_ends_the_sessions(assert_refused):
    user = make_user()
    session = SignedIn(user.username)
    user.password = make_password("another horse battery")

    User.objects.bulk_create([user], update_conflicts=True, unique_fields=["id"], update_fields=["password"])

    assert_refused(session.content(), 401, "token_revoked")


def test_a_session_started_after_the_user_was_changed_in_memory_is_valid(api, clock):
    user = make_user()
    user.roles.add("admin")
    user.set_password(PASSWORD)
    user.save()

    pair = lifecycle.start(user, NO_CLIENT, BY_PASSWORD)

    assert api.get("/api/test/admin", pair.access.text).status_code == 200


def test_a_new_user_has_the_first_token_version():
    assert User.objects.create_user("alice", "alice@example.com", PASSWORD).token_version == 0


def test_a_save_raises_the_token_version_but_never_lowers_it():
    user = make_user()
    stale = User.objects.get(pk=user.pk)
    user.token_version += 5
    user.save()
    stale.save()

    assert User.objects.get(pk=user.pk).token_version == user.token_version


def test_saving_a_user_who_was_loaded_before_a_password_change_keeps_the_new_password_and_its_sessions(api):
    make_user("alice")
    stale = User.objects.get()
    user = User.objects.get()
    user.set_password("another good one")
    user.save()
    signed_in = api.sign_in("alice", "another good one").json()

    stale.fullname = "Alice A."
    stale.save()
    stale.save(update_fields=["fullname", "password"])

    assert User.objects.get().fullname == "Alice A."
    assert api.sign_in("alice").status_code == 401
    assert api.sign_in("alice", "another good one").status_code == 200
    assert api.get("/api/test/user", signed_in["accessToken"]).status_code == 200
    stale.refresh_from_db()
    stale.save()
    assert api.get("/api/test/user", signed_in["accessToken"]).status_code == 200


@pytest.mark.parametrize("load", [User.objects.get, User.objects.defer("password").get])
@pytest.mark.parametrize("options", [{}, {"update_fields": ["password"]}])
def test_a_password_that_is_assigned_or_set_is_saved_and_ends_the_sessions(api, load, options):
    make_user("alice")
    signed_in = api.sign_in("alice").json()
    user = load()
    user.password = make_password("another good one")
    user.save(**options)
    assert api.sign_in("alice", "another good one").status_code == 200
    assert api.get("/api/test/user", signed_in["accessToken"]).status_code == 401

    user.set_password("a third good one")
    user.save(**options)
    assert api.sign_in("alice", "a third good one").status_code == 200


def test_a_user_who_was_deleted_can_be_saved_again_with_the_password(api):
    user = make_user("alice")
    User.objects.get().delete()

    user.save()

    assert api.sign_in("alice").status_code == 200
