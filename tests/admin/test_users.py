"""Changes to accounts in the admin, the privileges they require, and the security history."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Activity, Invitation, User
from tests.conftest import Api, SignedIn
from tests.factories import make_user
from tests.sessions.test_validity import edit

USERS = "/admin/accounts/user/"
HISTORY = "/admin/accounts/activity/"


@pytest.fixture(autouse=True)
def _frozen_clock(clock):
    """Stop the clock."""


@pytest.fixture
def alice():
    return make_user("alice")


def run_action(admin_client, action, *users):
    form = {"confirmed": "yes", "action": action, "_selected_action": [user.pk for user in users]}
    response = admin_client.post(USERS, form)
    assert response.status_code == 302


def force_reset_by_button(admin_client, user):
    assert admin_client.post(f"{USERS}{user.pk}/reset/", {"confirmed": "yes"}).status_code == 302


def force_reset_by_action(admin_client, user):
    run_action(admin_client, "force_reset_selected", user)


@pytest.mark.parametrize("force", [force_reset_by_button, force_reset_by_action])
def test_a_forced_reset_removes_the_password_ends_sessions_and_emails_a_link(
    admin_client, alice, mailoutbox, mailed_token, assert_refused, force
):
    signed_in = SignedIn("alice")

    force(admin_client, alice)

    assert_refused(signed_in.content(), 401, "token_revoked")
    assert_refused(signed_in.sign_in("alice"), 401, "invalid_credentials")
    [mail] = mailoutbox
    assert (mail.to, mail.subject) == (["alice@example.com"], "Choose a new password")
    body = {"token": mailed_token(), "newPassword": "another good one"}
    assert signed_in.post("/api/auth/password/reset/confirm", body).status_code == 204
    assert signed_in.sign_in("alice", "another good one").status_code == 200


def test_a_forced_reset_sends_no_email_to_deactivated_users(admin_client, mailoutbox):
    run_action(admin_client, "force_reset_selected", make_user("bob", is_active=False))

    assert mailoutbox == []


CHANGES = [
    (force_reset_by_button, "password:reset_forced", "Forced a password reset."),
    (force_reset_by_action, "password:reset_forced", "Forced a password reset."),
    (
        lambda admin_client, user: run_action(admin_client, "deactivate_selected", user),
        "user:deactivated",
        "Deactivated.",
    ),
    (
        lambda admin_client, user: run_action(admin_client, "revoke_selected", user),
        "session:all_ended",
        "Revoked all sessions.",
    ),
    (
        lambda admin_client, user: admin_client.post(f"{USERS}{user.pk}/revoke/", {"confirmed": "yes"}),
        "session:all_ended",
        "Revoked all sessions (1).",
    ),
    (
        lambda admin_client, user: edit(admin_client, user, roles=["user", "admin"]),
        "roles:changed",
        "Changed Roles.",
    ),
    (lambda admin_client, user: edit(admin_client, user, is_active=False), "user:deactivated", "Changed Active."),
    (
        lambda admin_client, user: edit(admin_client, user, email="new@example.com"),
        "email:changed",
        "Changed Email address.",
    ),
    (
        lambda admin_client, user: edit(admin_client, user, fullname="Alice"),
        "profile:changed",
        "Changed Full name.",
    ),
]


@pytest.mark.parametrize(
    ("change", "event", "log_message"), CHANGES, ids=[f"{row[1]} {row[2]}" for row in CHANGES]
)
def test_each_change_is_logged_with_the_administrator(
    admin_client, administrator, alice, events, change, event, log_message
):
    SignedIn("alice")

    change(admin_client, alice)

    logged = LogEntry.objects.get()
    assert (logged.user_id, logged.object_id) == (administrator.pk, str(alice.pk))
    assert logged.get_change_message() == log_message
    entry = Activity.objects.get(event=event)
    assert (entry.user_id, entry.by) == (alice.pk, administrator.pk)
    assert [line["by"] for line in events() if line["event"] == event] == [administrator.pk]


def test_activating_a_user_is_logged(admin_client, alice):
    User.objects.update(is_active=True)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    run_action(admin_client, "activate_selected", alice)

    assert LogEntry.objects.get().get_change_message() == "Activated."
    assert Api().sign_in("alice").status_code == 200


def test_changing_an_email_address_notifies_the_old_address(admin_client, alice, mailoutbox):
    User.objects.filter(pk=alice.pk).update(email_verified_at="2020-01-01T00:00:00Z")
    edit(admin_client, alice, email="new@example.com")

    assert [(mail.to, mail.subject) for mail in mailoutbox] == [
        (["alice@example.com"], "Your email address was changed"),
        (["new@example.com"], "Verify your email address"),
    ]
    assert "An administrator changed" in mailoutbox[0].body
    assert not User.objects.get(pk=alice.pk).is_email_verified


def test_a_user_created_in_the_admin_has_a_verified_email_address(admin_client):
    form = {
        "username": "bob", "email": "bob@example.com", "fullname": "", "usable_password": "true",
        "password1": "a good password 1", "password2": "a good password 1",
    }  # fmt: skip
    admin_client.post(f"{USERS}add/", form)

    assert User.objects.get(username="bob").is_email_verified


@pytest.fixture
def clerk():
    """Return the browser of a staff user who may change users and view their history, but is not a superuser."""
    user = make_user("clerk", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(codename__in=["change_user", "view_user", "view_activity"])
    )
    browser = Client()
    browser.force_login(user)
    return browser


def test_a_staff_user_cannot_change_a_superuser(clerk, administrator, mailoutbox):
    before = User.objects.values().get(pk=administrator.pk)

    assert clerk.post(f"{USERS}{administrator.pk}/reset/", {"confirmed": "yes"}).status_code == 403
    for action in ("force_reset_selected", "deactivate_selected", "revoke_selected"):
        run_action(clerk, action, administrator)

    assert User.objects.values().get(pk=administrator.pk) == before
    assert mailoutbox == []
    assert not LogEntry.objects.exists()


def test_a_staff_user_can_reset_an_ordinary_user(clerk, alice, mailoutbox):
    assert clerk.post(f"{USERS}{alice.pk}/reset/", {"confirmed": "yes"}).status_code == 302
    assert len(mailoutbox) == 1


@pytest.mark.parametrize("path", ["reset", "revoke"])
def test_the_buttons_reject_get_requests_anonymous_requests_and_unknown_users(admin_client, alice, path):
    assert admin_client.get(f"{USERS}{alice.pk}/{path}/").status_code == 405
    assert admin_client.post(f"{USERS}9999/{path}/").status_code == 404
    assert Client().post(f"{USERS}{alice.pk}/{path}/").status_code == 302
    assert not LogEntry.objects.exists()


def test_a_user_s_page_links_to_the_user_s_history(admin_client, alice, administrator):
    SignedIn("alice", REMOTE_ADDR="192.0.2.7", HTTP_USER_AGENT="curl/8")
    SignedIn(make_user("bob").username)
    force_reset_by_button(admin_client, alice)
    page = admin_client.get(f"{USERS}{alice.pk}/change/").content.decode()
    address = f"{HISTORY}?user__id__exact={alice.pk}"
    assert address in page

    page = admin_client.get(address).content.decode()

    for text in (
        "Signed in",
        "192.0.2.7",
        "curl",
        "Password reset by an administrator",
        f">{administrator.username}</a>",
    ):
        assert text in page
    assert ">bob</a>" not in page
    assert ">bob</a>" in admin_client.get(HISTORY).content.decode()


def test_the_history_of_one_user_is_filtered_by_event(admin_client, alice):
    SignedIn("alice")
    force_reset_by_button(admin_client, alice)
    page = admin_client.get(f"{HISTORY}?user__id__exact={alice.pk}&event=password:reset_forced")

    assert [entry.event for entry in page.context["cl"].result_list] == ["password:reset_forced"]


def test_the_history_of_all_users_is_filtered_by_event(admin_client, alice):
    SignedIn("alice")
    SignedIn(make_user("bob").username)
    force_reset_by_button(admin_client, alice)
    page = admin_client.get(f"{HISTORY}?event=sign_in:succeeded")

    assert {entry.user.username for entry in page.context["cl"].result_list} == {"alice", "bob"}


def test_the_history_is_read_only(admin_client, alice):
    SignedIn("alice")
    entry = Activity.objects.first()

    assert admin_client.get(f"{HISTORY}add/").status_code == 403
    assert admin_client.post(f"{HISTORY}{entry.pk}/change/", {"event": "x"}).status_code == 403
    assert admin_client.post(f"{HISTORY}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    admin_client.post(HISTORY, {"action": "delete_selected", "_selected_action": [entry.pk]})
    assert Activity.objects.filter(pk=entry.pk).exists()


@pytest.mark.parametrize(
    "query",
    ["?q=%00", "?event=nonsense", "?user__id__exact=x", "?user__id__exact=%00", "?p=99999999", "?o=1.2", "?e=1"],
)
def test_malformed_queries_cause_no_server_error(admin_client, query):
    assert admin_client.get(f"{HISTORY}{query}").status_code in (200, 302, 400)


def test_the_history_shows_details_in_words(admin_client, alice):
    edit(admin_client, alice, roles=["user", "moderator"])
    run_action(admin_client, "revoke_selected", alice)

    page = admin_client.get(HISTORY).content.decode()

    assert ">Added: moderator.<" in page
    assert ">Reason: by an administrator. 0 sessions.<" in page
    assert "{" not in page.partition("<tbody>")[2].partition("</tbody>")[0]


def test_the_history_names_an_administrator_who_was_deleted_by_id(admin_client, alice):
    Activity.objects.create(user=alice, event="user:activated", at=timezone.now(), by=99999)

    assert "deleted (99999)" in admin_client.get(HISTORY).content.decode()


def test_roles_are_checkboxes_and_permissions_are_folded_away(admin_client, alice):
    page = admin_client.get(f"{USERS}{alice.pk}/change/").content.decode()

    assert re.search(r'<input type="checkbox" name="roles" value="user"[^>]* checked', page)
    assert '<fieldset class="module aligned collapse"' in page
    assert page.index("collapse") < page.index('name="user_permissions"')


def test_the_page_of_a_user_runs_a_bounded_number_of_queries(admin_client, alice, django_assert_max_num_queries):
    with django_assert_max_num_queries(16):
        assert admin_client.get(f"{USERS}{alice.pk}/change/").status_code == 200


@pytest.mark.parametrize("path", [USERS, HISTORY, "/admin/accounts/invitation/"])
def test_no_query_is_added_for_each_row(admin_client, alice, administrator, path):
    def count_queries():
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.get(path).status_code == 200
        return len(queries)

    def add_rows():
        for name in ("x", "y", "z"):
            user = make_user(f"{name}{User.objects.count()}", is_staff=True)
            Activity.objects.create(user=user, event="user:activated", at=timezone.now(), by=user.pk)
            digest = f"{name}{Invitation.objects.count()}"
            expires_at = timezone.now()
            Invitation.objects.create(
                email="x@example.com", token_digest=digest, expires_at=expires_at, invited_by=user, used_by=user
            )

    add_rows()
    before = count_queries()
    add_rows()

    assert count_queries() == before


def test_the_history_page_runs_a_bounded_number_of_queries(admin_client, alice, django_assert_max_num_queries):
    for _ in range(20):
        SignedIn("alice")

    with django_assert_max_num_queries(8):
        assert admin_client.get(HISTORY).status_code == 200


@pytest.mark.parametrize(
    "privileges", [{"is_superuser": True}, {"is_staff": True}, {"roles": ("user", "moderator")}]
)
def test_a_staff_user_cannot_change_an_account_with_more_privileges(clerk, privileges, mailoutbox):
    """With the password or a new email address of such an account, a staff user would gain its privileges."""
    User.objects.get(username="clerk").user_permissions.add(Permission.objects.get(codename="delete_user"))
    target = make_user("target", **privileges)
    before = User.objects.values().get(pk=target.pk)
    new = {"password1": "another good one", "password2": "another good one", "usable_password": "true"}

    for path, form in (
        ("password", new), ("reset", {"confirmed": "yes"}), ("revoke", {"confirmed": "yes"}), ("delete", {"post": "yes"}), ("change", {"email": "x@x.example"}),
    ):  # fmt: skip
        assert clerk.post(f"{USERS}{target.pk}/{path}/", form).status_code == 403, path
    run_action(clerk, "force_reset_selected", target)

    assert User.objects.values().get(pk=target.pk) == before
    assert mailoutbox == []


def test_an_administrator_marks_an_email_address_as_verified(admin_client, alice, administrator):
    run_action(admin_client, "verify_selected", alice)

    assert User.objects.get(pk=alice.pk).is_email_verified
    assert Activity.objects.get(event="email:verified").by == administrator.pk
    assert LogEntry.objects.get().get_change_message() == "Marked the email address as verified."


def test_a_forced_reset_of_a_deactivated_user_is_rejected(admin_client, mailoutbox):
    user = make_user("bob", is_active=False)
    page = admin_client.post(f"{USERS}{user.pk}/reset/", {"confirmed": "yes"}, follow=True)

    assert b"The user bob is deactivated and gets no email. Activate the user first." in page.content
    assert User.objects.get(pk=user.pk).has_usable_password()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    "query",
    ["refreshtoken/?secret_digest__gt=a", "refreshtoken/?user_agent__regex=(", "user/?fullname__regex=(",
     "user/?security_stamp__gt=1", "user/?password__startswith=a", "activity/?details__contains=x"],
)  # fmt: skip
def test_lists_reject_lookups_that_no_filter_offers(admin_client, alice, query):
    SignedIn("alice")

    assert admin_client.get(f"/admin/accounts/{query}").status_code == 400


@pytest.mark.parametrize("query", ["?is_active__exact=1", "?is_staff__exact=0", "?roles__name__exact=user"])
def test_users_are_filtered_by_status_and_role(admin_client, alice, query):
    page = admin_client.get(f"{USERS}{query}")

    assert alice in page.context["cl"].result_list


def test_saving_a_user_who_was_just_deleted_causes_no_server_error(admin_client, alice, monkeypatch):
    from accounts.admin.users import UserAdmin  # noqa: PLC0415

    save_model = UserAdmin.save_model

    def delete_first(self, request, obj, form, change):
        User.objects.filter(pk=obj.pk).delete()
        return save_model(self, request, obj, form, change)

    monkeypatch.setattr(UserAdmin, "save_model", delete_first)
    page = admin_client.get(f"{USERS}{alice.pk}/change/")
    form = {"username": "alice", "email": "new@example.com", "fullname": "", "is_active": "on", "roles": ["user"]}
    assert page.status_code == 200

    assert admin_client.post(f"{USERS}{alice.pk}/change/", form, follow=True).status_code == 200
