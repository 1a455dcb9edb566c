"""Test that whatever ends a session of an application queues exactly one logout token, in the same transaction."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts.factors import changes
from accounts.fields import new_security_stamp
from accounts.models import Application, EndReason, LogoutDelivery, RefreshToken, SessionKind, User
from accounts.models.logout_deliveries import deliveries_queued
from accounts.sessions import lifecycle
from accounts.users import activation, deletion, passwords
from accounts.values.clients import NO_CLIENT
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_administrator, make_user

NEW_PASSWORD = "another horse battery"


@pytest.fixture(autouse=True)
def shop():
    return Application.objects.create(
        client_id="shop", name="Shop", backchannel_logout_uri="https://shop.example.com/logout"
    )


@pytest.fixture
def alice():
    return make_user("alice")


def open_session(user, application="shop", **fields):
    """Return a session of an application, as the exchange of a code opens it."""
    now = timezone.now()
    values = {
        "owner": user,
        "owner_stamp": user.security_stamp,
        "created_at": now,
        "authenticated_at": now,
        "last_used_at": now,
        "expires_at": now + timedelta(days=1),
        "session_expires_at": now + timedelta(days=1),
        "secret_digest": uuid4().bytes * 2,
        "application_id": application,
    }
    return RefreshToken.objects.create(**{**values, **fields})


def open_browser(user, **fields):
    return open_session(user, None, kind=SessionKind.BROWSER, **fields)


def queued():
    return set(LogoutDelivery.objects.values_list("session_id", flat=True))


@pytest.fixture
def session(alice):
    return open_session(alice)


def reload(user):
    return User.objects.get(pk=user.pk)


def change_by_save(user):
    user = reload(user)
    user.set_password(NEW_PASSWORD)
    user.save()


def change_by_save_of_the_hash(user):
    user = reload(user)
    user.password = make_password(NEW_PASSWORD)
    user.save(update_fields=["password"])


def change_by_save_of_some_fields(user):
    user = User.objects.only("password").get(pk=user.pk)
    user.set_password(NEW_PASSWORD)
    user.save()


def change_by_bulk_update(user):
    user = reload(user)
    user.set_password(NEW_PASSWORD)
    User.objects.bulk_update([user], ["password"])


def change_by_bulk_create(user):
    other = User(username=user.username, email=user.email, password=make_password(NEW_PASSWORD))
    User.objects.bulk_create(
        [other], update_conflicts=True, update_fields=["password"], unique_fields=["username_key"]
    )


def deactivate_by_save(user):
    user = reload(user)
    user.is_active = False
    user.save()


def deactivate_by_save_of_the_field(user):
    user = reload(user)
    user.is_active = False
    user.save(update_fields=["is_active"])


def deactivate_by_bulk_update(user):
    user = reload(user)
    user.is_active = False
    User.objects.bulk_update([user], ["is_active"])


WAYS = {
    "the end of the session": lambda user: lifecycle.end_all(user.pk, EndReason.SIGNED_OUT, NO_CLIENT),
    "the command endsessions": lambda user: call_command("endsessions", user.username, verbosity=0),
    "a new password": lambda user: passwords.set_password(user, NEW_PASSWORD, NO_CLIENT),
    "no password any more": lambda user: passwords.set_password(user, None, NO_CLIENT),
    "a password by save": change_by_save,
    "a hash by save": change_by_save_of_the_hash,
    "a password by save of loaded fields": change_by_save_of_some_fields,
    "a password by update": lambda user: User.objects.filter(pk=user.pk).update(password=make_password(None)),
    "a password by update of everyone": lambda _: User.objects.update(password=make_password(None)),
    "a password by bulk_update": change_by_bulk_update,
    "a password by bulk_create": change_by_bulk_create,
    "a stamp by update": lambda user: User.objects.filter(pk=user.pk).update(security_stamp=new_security_stamp()),
    "deactivation": lambda user: activation.deactivate(user, NO_CLIENT),
    "deactivation by save": deactivate_by_save,
    "deactivation by save of the field": deactivate_by_save_of_the_field,
    "deactivation by update": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
    "deactivation by bulk_update": deactivate_by_bulk_update,
    "deletion": lambda user: deletion.delete(user, NO_CLIENT),
    "deletion by the model": lambda user: reload(user).delete(),
    "deletion by a queryset": lambda user: User.objects.filter(pk=user.pk).delete(),
    "a reset of the second factors": changes.reset,
    "deletion of the session": lambda user: RefreshToken.objects.get(owner=user, application="shop").delete(),
    "deletion of sessions": lambda user: RefreshToken.objects.filter(owner=user, ended_at=None).delete(),
    "deletion of the application": lambda _: Application.objects.get(client_id="shop").delete(),
    "deletion of applications": lambda _: Application.objects.filter(client_id="shop").delete(),
}


@pytest.mark.parametrize("end", WAYS.values(), ids=WAYS)
def test_a_logout_token_is_queued_by(end, alice, session):
    LogoutDelivery.objects.all().delete()
    end(alice)

    [delivery] = LogoutDelivery.objects.all()
    assert (delivery.session_id, delivery.client_id, delivery.subject) == (
        session.pk,
        "shop",
        str(session.owner_id),
    )
    assert delivery.uri == "https://shop.example.com/logout"


@pytest.mark.parametrize("end", WAYS.values(), ids=WAYS)
def test_with_the_transaction_no_logout_token_remains_of(end, alice, session):
    with transaction.atomic():
        end(alice)
        transaction.set_rollback(True)

    assert not queued()


def upgrade_hash(user):
    User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
    LogoutDelivery.objects.all().delete()
    RefreshToken.objects.update(owner_stamp=reload(user).security_stamp)
    assert reload(user).check_password(PASSWORD)


KEPT = {
    "an upgrade of the hash": upgrade_hash,
    "another name": lambda user: User.objects.filter(pk=user.pk).update(fullname="Alice"),
    "an unchanged save": lambda user: reload(user).save(),
    "an activation": lambda user: activation.activate(user, NO_CLIENT),
    "another role": lambda user: user.roles.add("admin"),
    "the same hash": lambda user: User.objects.filter(pk=user.pk).update(
        password=user.password, security_stamp=user.security_stamp
    ),
}


@pytest.mark.parametrize("change", KEPT.values(), ids=KEPT)
def test_no_logout_token_is_queued_by(change, alice, session):
    change(alice)

    assert not queued()


def test_sessions_of_others_and_without_a_receiver_are_not_reported(alice, session):
    Application.objects.create(client_id="tool", name="Tool")
    bob = make_user("bob")
    for user, application in ((bob, "shop"), (alice, "tool"), (alice, None)):
        open_session(user, application)

    change_by_save(alice)

    assert queued() == {session.pk}


def test_an_expired_session_is_not_reported(alice, clock):
    open_session(alice)
    clock.advance(days=2)

    change_by_save(alice)
    RefreshToken.objects.all().delete()

    assert not queued()


def test_a_void_session_is_not_reported_again(alice, session):
    change_by_save(alice)
    LogoutDelivery.objects.all().delete()

    change_by_save(alice)
    deactivate_by_save(alice)
    deletion.delete(reload(alice), NO_CLIENT)

    assert not queued()


def test_the_session_in_which_the_password_is_changed_is_not_reported(api, alice, session):
    own = SignedIn("alice")
    RefreshToken.objects.filter(pk=own.claims.session_id).update(application="shop")

    response = own.post(
        "/api/auth/password/change", {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}, own.access_token
    )

    assert response.status_code == 204
    assert queued() == {session.pk}
    assert own.refresh(own.refresh_token).status_code in {
        200,
        403,
    }  # an application's session is not refreshed here


def test_a_password_that_is_changed_twice_at_once_reports_nothing_for_the_second(alice, session):
    own = SignedIn("alice")
    session_id = own.claims.session_id
    User.objects.filter(pk=alice.pk).update(password=make_password(PASSWORD))
    RefreshToken.objects.update(owner_stamp=reload(alice).security_stamp)
    LogoutDelivery.objects.all().delete()

    passwords.change(alice.pk, session_id, PASSWORD, NEW_PASSWORD, NO_CLIENT)

    assert queued() == {session.pk}
    assert RefreshToken.objects.get(pk=session_id).ended_at is None


def test_with_the_sign_in_of_a_browser_the_sessions_that_came_of_it_are_reported(alice):
    browser = open_browser(alice)
    children = [open_session(alice, parent=browser) for _ in range(2)]
    open_session(alice)

    lifecycle.end(browser.pk, EndReason.SIGNED_OUT, NO_CLIENT)

    assert queued() == {child.pk for child in children}


@pytest.mark.parametrize(
    "delete", [lambda row: row.delete(), lambda row: RefreshToken.objects.filter(pk=row.pk).delete()]
)
def test_the_deletion_of_a_browser_s_sign_in_ends_the_sessions_that_came_of_it(alice, delete):
    browser = open_browser(alice)
    child = open_session(alice, parent=browser)

    delete(browser)

    assert queued() == {child.pk}
    child.refresh_from_db()
    assert child.ended_at is not None


def test_the_sessions_beyond_the_limit_are_reported_with_what_came_of_them(api, alice, override_auth):
    browser = open_browser(alice)
    child = open_session(alice, parent=browser)
    override_auth(max_sessions=1)

    SignedIn("alice")

    assert queued() == {child.pk}


def test_a_removed_factor_ends_what_began_with_a_factor(alice, enrolled):
    user, factor_id = enrolled
    now = timezone.now()
    browser = open_browser(user, second_factor_at=now)
    child = open_session(user, parent=browser)
    own = open_session(user, second_factor_at=now)
    plain = open_session(user, None, second_factor_at=now)
    by_password = open_session(user)

    changes.remove(user, factor_id, own.pk, NO_CLIENT)

    assert queued() == {child.pk}
    ended = set(RefreshToken.objects.exclude(ended_at=None).values_list("pk", flat=True))
    assert ended == {browser.pk, child.pk}
    assert not {own.pk, plain.pk, by_password.pk} & ended


@pytest.fixture
def enrolled(alice):
    """Return a user with an authenticator app, and its id."""
    factor = alice.authenticators.create(
        name="Phone", created_at=timezone.now(), confirmed_at=timezone.now(), encrypted_secret=b"x"
    )
    return alice, factor.pk


def test_a_factor_that_is_added_where_a_role_needs_it_keeps_the_session_in_which_it_is(alice, override_auth):
    browser = open_browser(alice)
    own, other = (open_session(alice, parent=browser) for _ in range(2))
    sessions = RefreshToken.objects.filter(owner=alice)

    lifecycle.end_many(sessions, EndReason.SECOND_FACTOR_ADDED, NO_CLIENT, surviving=own.pk)

    assert queued() == {other.pk}


def test_an_administrator_who_deactivates_deletes_or_revokes_reports_the_sessions(client):
    client.force_login(make_administrator())
    users = [make_user() for _ in range(3)]
    sessions = [open_session(user) for user in users]

    url = reverse("admin:accounts_user_changelist")
    selection = {"_selected_action": [users[0].pk], "confirmed": "1"}
    assert client.post(url, {"action": "deactivate_selected", **selection}).status_code == 302
    client.post(reverse("admin:accounts_user_delete", args=[users[1].pk]), {"post": "yes"})
    client.post(reverse("admin:accounts_refreshtoken_delete", args=[sessions[2].pk]), {"post": "yes"})

    assert queued() == {session.pk for session in sessions}


def test_without_applications_a_new_password_costs_one_query_more(alice, django_assert_num_queries):
    Application.objects.all().delete()

    with django_assert_num_queries(2):
        User.objects.filter(pk=alice.pk).update(password=make_password(None))


def test_the_signal_is_sent_after_the_commit(alice, session, django_capture_on_commit_callbacks, monkeypatch):
    sent = []
    monkeypatch.setattr(deliveries_queued, "send_robust", lambda **options: sent.append(options))

    with django_capture_on_commit_callbacks() as callbacks:
        lifecycle.end(session.pk, EndReason.SIGNED_OUT, NO_CLIENT)
        assert not sent
    for callback in callbacks:
        callback()

    assert sent == [{"sender": LogoutDelivery}]


def test_a_sign_out_without_an_application_sends_no_signal(alice, django_capture_on_commit_callbacks):
    session = open_session(alice, None)

    with django_capture_on_commit_callbacks() as callbacks:
        lifecycle.end(session.pk, EndReason.SIGNED_OUT, NO_CLIENT)

    assert callbacks == []
