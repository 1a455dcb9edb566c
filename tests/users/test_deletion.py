"""DELETE /api/auth/me: delete an account."""

from django.apps import apps
from django.contrib.admin.models import LogEntry

from accounts.models import User
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
