"""DELETE /api/auth/me: delete an account."""

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import DO_NOTHING, PROTECT, RESTRICT

from accounts import purge
from accounts.errors import AccountInUse
from accounts.models import User
from accounts.users import deletion
from accounts.values.clients import NO_CLIENT
from tests.conftest import SignedIn
from tests.factories import make_administrator, make_user

URL = "/api/auth/me"


def test_a_deletion_removes_the_account_and_all_its_sessions(clock, assert_refused):
    make_user("alice")
    current, other = SignedIn("alice"), SignedIn("alice")

    assert current.delete(URL, current.access_token).status_code == 204

    for session in (current, other):
        assert_refused(session.content(), 401, "token_revoked")
        assert_refused(session.refresh(session.refresh_token), 403, "refresh_token_unknown")
    assert_refused(current.sign_in("alice"), 401, "invalid_credentials")
    assert_refused(current.delete(URL, current.access_token), 401, "token_revoked")


def test_no_personal_data_remains_in_the_database(client, clock, api, events):
    api.sign_up("alice-in-wonderland", fullname="Alice Liddell")
    user = User.objects.get()
    client.force_login(make_administrator())
    client.post(f"/admin/accounts/user/{user.pk}/revoke/", {"confirmed": "yes"})
    assert LogEntry.objects.get().object_repr == "alice-in-wonderland"
    signed_in = SignedIn("alice-in-wonderland", REMOTE_ADDR="192.0.2.77")

    signed_in.delete(URL, signed_in.access_token)

    rows = str([row for model in apps.get_models() for row in model._default_manager.values()])
    for personal in ("alice-in-wonderland", "Liddell", "192.0.2.77"):
        assert personal not in rows
    assert LogEntry.objects.get().object_repr == f"user {user.pk}"
    assert events()[-1]["event"] == "user:deleted"


def test_the_username_and_email_become_available_again(signed_in, api):
    user = User.objects.get()
    signed_in.delete(URL, signed_in.access_token)

    assert api.sign_up(user.username, email=user.email).status_code == 201


def test_other_accounts_remain(signed_in):
    other = SignedIn(make_user().username)
    signed_in.delete(URL, signed_in.access_token)

    assert other.content().status_code == 200


def test_a_deletion_needs_a_recent_authentication(signed_in, clock, assert_refused):
    clock.advance(seconds=301)

    assert_refused(signed_in.delete(URL, signed_in.access_token), 403, "recent_authentication_required")
    assert User.objects.exists()


def test_a_deletion_needs_an_access_token(api, assert_refused):
    assert_refused(api.delete(URL), 401, "token_missing")


def test_a_deletion_in_the_admin_is_recorded_with_the_administrator(client, signed_in, events):
    user = User.objects.get()
    administrator = make_administrator()
    client.force_login(administrator)
    page = client.get(f"/admin/accounts/user/{user.pk}/delete/")
    assert b"Sessions: 1" in page.content

    assert client.post(f"/admin/accounts/user/{user.pk}/delete/", {"post": "yes"}).status_code == 302

    assert not User.objects.filter(pk=user.pk).exists()
    assert (events()[-1]["event"], events()[-1]["by"]) == ("user:deleted", administrator.pk)


@pytest.fixture(params=[PROTECT, RESTRICT], ids=lambda on_delete: on_delete.__name__)
def in_use(request, monkeypatch):
    """Return a user whom a row refers to with a foreign key that forbids deletion."""
    user = make_user("alice")
    content_type = ContentType.objects.get_for_model(User)
    LogEntry.objects.create(user=user, content_type=content_type, object_id="1", object_repr="x", action_flag=1)
    monkeypatch.setattr(LogEntry._meta.get_field("user").remote_field, "on_delete", request.param)
    return user


def test_an_account_that_other_rows_protect_is_not_deleted(in_use, clock, assert_refused):
    signed_in = SignedIn("alice")

    assert_refused(signed_in.delete(URL, signed_in.access_token), 409, "account_in_use")

    assert signed_in.content().status_code == 200
    assert signed_in.refresh(signed_in.refresh_token).status_code == 200


def test_the_admin_says_that_other_rows_protect_an_account(in_use, client):
    client.force_login(make_administrator())

    response = client.post(f"/admin/accounts/user/{in_use.pk}/delete/", {"post": "yes"}, follow=True)

    assert "Not deleted: other records still refer to this user." in response.content.decode()
    assert "was deleted successfully" not in response.content.decode()
    assert User.objects.filter(pk=in_use.pk).exists()


def test_a_purge_continues_after_an_account_that_other_rows_protect(in_use):
    User.objects.filter(pk=in_use.pk).update(pending_since="2020-01-01T00:00:00Z")
    others = [make_user(pending_since="2020-01-01T00:00:00Z").pk for _ in range(3)]

    assert sum(purge.delete_unverified_sign_ups(2)) == 3

    assert User.objects.filter(pk=in_use.pk).exists()
    assert not User.objects.filter(pk__in=others).exists()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_an_account_that_a_constraint_of_the_database_protects_is_not_deleted(in_use, monkeypatch):
    monkeypatch.setattr(LogEntry._meta.get_field("user").remote_field, "on_delete", DO_NOTHING)

    with pytest.raises(AccountInUse):
        deletion.delete(in_use, NO_CLIENT)

    assert User.objects.filter(username="alice").exists()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite checks all constraints at the commit only")
def test_a_purge_continues_after_an_account_that_a_constraint_of_the_database_protects(in_use, monkeypatch):
    monkeypatch.setattr(LogEntry._meta.get_field("user").remote_field, "on_delete", DO_NOTHING)
    User.objects.filter(pk=in_use.pk).update(pending_since="2020-01-01T00:00:00Z")
    other = make_user(pending_since="2020-01-01T00:00:00Z")

    assert sum(purge.delete_unverified_sign_ups(10)) == 1

    assert User.objects.filter(username="alice").exists()
    assert not User.objects.filter(pk=other.pk).exists()
