"""Sessions and users in the Django admin: search, filters, revocation, purging, editing, and secrecy of its pages."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.admin.lists import MAX_COUNT
from accounts.models import EndReason, RefreshToken, User
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user

SESSIONS = "/admin/accounts/refreshtoken/"
USERS = "/admin/accounts/user/"
CONFIRMED = {"confirmed": "yes"}


@pytest.fixture(autouse=True)
def _frozen_clock(clock):
    """Stop the clock."""


def listed_ids(admin_client, query=""):
    page = admin_client.get(f"{SESSIONS}{query}")
    assert page.status_code == 200
    return {session.pk for session in page.context["cl"].result_list}


def session_id(signed_in):
    return signed_in.claims.session_id


@pytest.fixture
def session_states():
    """Create one session in each state, and return their ids by state and end reason."""
    make_user("alice")
    live, signed_out, reused, expired, deactivated = (SignedIn("alice") for _ in range(5))
    signed_out.post("/api/auth/signout", token=signed_out.access_token)
    RefreshToken.objects.filter(pk=session_id(reused)).end(EndReason.REUSED, at=timezone.now())
    RefreshToken.objects.filter(pk=session_id(expired)).update(expires_at=timezone.now() - timedelta(seconds=1))
    RefreshToken.objects.filter(pk=session_id(deactivated)).update(owner=make_user("gone", is_active=False))
    return {
        "live": session_id(live),
        "signed out": session_id(signed_out),
        "reused": session_id(reused),
        "expired": session_id(expired),
        "owner deactivated": session_id(deactivated),
    }


def test_the_list_shows_each_session_s_state_and_end_reason(admin_client, session_states):
    page = admin_client.get(SESSIONS).content.decode()

    for words in (
        'title="">live<',
        'title="">expired<',
        'title="signed out">revoked<',
        'title="refresh token reused">revoked<',
        'title="owner deactivated">revoked<',
    ):
        assert words in page


def test_sessions_are_filtered_by_state(admin_client, session_states):
    assert listed_ids(admin_client, "?state=live") == {session_states["live"]}
    assert listed_ids(admin_client, "?state=expired") == {session_states["expired"]}
    assert listed_ids(admin_client, "?state=ended") == {session_states["signed out"], session_states["reused"]}


def test_sessions_are_filtered_by_end_reason(admin_client, session_states):
    assert listed_ids(admin_client, "?reason=reused") == {session_states["reused"]}
    assert listed_ids(admin_client, "?reason=reused&state=ended") == {session_states["reused"]}


def test_a_live_or_expired_session_has_no_end_reason(admin_client, session_states):
    for state in ("live", "expired"):
        assert listed_ids(admin_client, f"?reason=reused&state={state}") == set()


def test_sessions_are_found_by_owner_address_and_id(admin_client):
    make_user("alice"), make_user("bob")
    alice, bob = SignedIn("alice", REMOTE_ADDR="192.0.2.7"), SignedIn("bob")

    assert listed_ids(admin_client, "?q=ALI") == {session_id(alice)}
    assert listed_ids(admin_client, "?q=bob@example") == {session_id(bob)}
    assert listed_ids(admin_client, "?q=192.0.2.7") == {session_id(alice)}
    assert listed_ids(admin_client, f"?q={session_id(bob)}") == {session_id(bob)}
    assert listed_ids(admin_client, "?q=nobody") == set()
    assert listed_ids(admin_client, f"?owner__id__exact={User.objects.get(username='bob').pk}") == {
        session_id(bob)
    }


@pytest.mark.parametrize(
    "query",
    [
        "?q=%00",
        "?q=%ED%A0%80",
        "?q='%22<",
        "?state=nonsense",
        "?p=99999999",
        "?e=1",
        "?o=1.2",
        "?nonsense=1",
        "?_facets=True",
    ],
)
def test_malformed_queries_cause_no_server_error(admin_client, query):
    assert admin_client.get(f"{SESSIONS}{query}").status_code in (200, 302, 400)
    assert admin_client.get(f"{USERS}{query}").status_code in (200, 302, 400)


def test_the_owner_filter_completes_names_instead_of_listing_all_users(admin_client):
    alice, bob = make_user("alice"), make_user("bob")
    SignedIn("alice"), SignedIn("bob")
    page = admin_client.get(SESSIONS).content.decode()
    assert "admin-autocomplete" in page
    assert len(listed_ids(admin_client, "?owner__id__exact=")) == 2
    assert f'<option value="{alice.pk}"' not in page
    assert (
        f'<option value="{bob.pk}" selected>bob</option>'
        in admin_client.get(f"{SESSIONS}?owner__id__exact={bob.pk}").content.decode()
    )

    parameters = {"term": "ALI", "app_label": "accounts", "model_name": "refreshtoken", "field_name": "owner"}
    results = admin_client.get("/admin/autocomplete/", parameters).json()["results"]
    assert [found["text"] for found in results] == ["alice"]


@pytest.mark.parametrize("owner", ["x", "-1", "9" * 30, "1.5", "١"])
def test_an_invalid_owner_id_matches_no_session(admin_client, owner):
    SignedIn(make_user().username)

    assert listed_ids(admin_client, f"?owner__id__exact={owner}") == set()


def test_a_session_s_page_is_read_only(admin_client):
    signed_in = SignedIn(make_user("alice").username, HTTP_USER_AGENT="Firefox <b>")
    page = admin_client.get(f"{SESSIONS}{session_id(signed_in)}/change/").content.decode()

    assert "alice" in page
    assert "Firefox &lt;b&gt;" in page
    assert 'name="_save"' not in page
    assert "Revoke this session" in page


def test_no_page_contains_a_secret(admin_client):
    user = make_user("alice")
    signed_in = SignedIn("alice")
    session = RefreshToken.objects.get()
    secrets = [
        signed_in.refresh_token[20:],
        signed_in.access_token.split(".")[2],
        bytes(session.secret_digest).hex(),
        str(user.security_stamp),
        user.password.split("$")[-1][:6],
        user.password.split("$")[-2][:6],
    ]

    for path in (
        SESSIONS,
        f"{SESSIONS}{session.pk}/change/",
        f"{SESSIONS}{session.pk}/history/",
        f"{SESSIONS}{session.pk}/delete/",
        USERS,
        f"{USERS}{user.pk}/change/",
        f"{USERS}{user.pk}/history/",
        f"{USERS}{user.pk}/delete/",
        f"{USERS}{user.pk}/password/",
        "/admin/",
    ):
        page = admin_client.get(path)
        assert page.status_code == 200, path
        assert not [secret for secret in secrets if secret in page.content.decode()], path


def test_revoking_a_session_is_logged_with_the_administrator(admin_client, administrator, events, assert_refused):
    signed_in = SignedIn(make_user("alice").username)

    response = admin_client.post(f"{SESSIONS}{session_id(signed_in)}/revoke/", CONFIRMED, follow=True)

    assert b"The session was revoked." in response.content
    assert b"Revoke this session" not in response.content
    assert_refused(signed_in.content(), 401, "token_revoked")
    assert LogEntry.objects.get().user == administrator
    assert [line["by"] for line in events() if line["event"] == "session:ended"] == [administrator.pk]


def test_the_button_that_revokes_a_session_asks_for_confirmation(admin_client):
    signed_in = SignedIn(make_user("alice").username)
    path = f"{SESSIONS}{session_id(signed_in)}/"

    confirmation = admin_client.post(f"{path}revoke/").content.decode()

    title = f"Revoke session …{str(session_id(signed_in))[-8:]} of alice"
    assert f'name="confirmed" value="{title}"' in confirmation
    assert f'href="{path}change/"' in confirmation
    assert signed_in.content().status_code == 200
    assert not LogEntry.objects.exists()


def test_a_deletion_and_a_log_name_the_row(admin_client):
    signed_in = SignedIn(make_user("alice").username)
    user_page = admin_client.get(f"{USERS}{signed_in.claims.user_id}/delete/").content.decode()
    session_page = admin_client.get(f"{SESSIONS}{session_id(signed_in)}/delete/").content.decode()

    log_page = admin_client.get(f"{SESSIONS}{session_id(signed_in)}/history/").content.decode()

    assert f"Log of changes: …{str(session_id(signed_in))[-8:]} of alice" in log_page
    assert 'value="Delete user alice"' in user_page
    assert "<li>Sessions: 1</li>" in user_page
    assert f'value="Delete session …{str(session_id(signed_in))[-8:]} of alice"' in session_page


def test_revoking_requires_post_and_permission(admin_client, client):
    signed_in = SignedIn(make_user("alice").username)
    paths = [f"{SESSIONS}{session_id(signed_in)}/revoke/", f"{USERS}{signed_in.claims.user_id}/revoke/"]
    clerk = make_user("clerk", is_staff=True)
    client.force_login(clerk)

    for path in paths:
        assert admin_client.get(path).status_code == 405
        assert client.post(path).status_code == 403
        assert Client().post(path).status_code == 302
        assert Client(enforce_csrf_checks=True).post(path).status_code == 403
    assert signed_in.content().status_code == 200


@pytest.mark.parametrize(
    "path", [f"{SESSIONS}00000000-0000-0000-0000-000000000000/revoke/", f"{USERS}99999/revoke/"]
)
def test_revoking_an_unknown_session_or_user_is_not_found(admin_client, path):
    assert admin_client.post(path).status_code == 404


def test_revoking_a_selection_skips_sessions_that_have_already_ended(admin_client, session_states):
    form = {
        **CONFIRMED,
        "action": "revoke_selected",
        "_selected_action": [str(pk) for pk in session_states.values()],
    }

    response = admin_client.post(SESSIONS, form, follow=True)

    assert b"3 sessions were revoked" in response.content
    assert not RefreshToken.objects.filter(ended_at=None).exists()
    assert RefreshToken.objects.get(pk=session_states["reused"]).end_reason == EndReason.REUSED


def test_purging_a_selection_deletes_only_expired_sessions(admin_client, session_states):
    form = {
        **CONFIRMED,
        "action": "purge_selected",
        "_selected_action": [str(pk) for pk in session_states.values()],
    }

    response = admin_client.post(SESSIONS, form, follow=True)

    assert b"1 expired session was deleted" in response.content
    remaining = set(RefreshToken.objects.values_list("pk", flat=True))
    assert remaining == set(session_states.values()) - {session_states["expired"]}


@pytest.mark.parametrize("query", ["?q=nobody", "?state=live&reason=signed_out", "?state=live", "?state=ended"])
def test_purging_an_empty_filtered_selection_deletes_nothing(admin_client, session_states, query):
    form = {**CONFIRMED, "action": "purge_selected", "_selected_action": [str(session_states["expired"])]}

    for selection in (form, {**form, "select_across": "1"}):
        response = admin_client.post(SESSIONS + query, selection, follow=True)
        assert b"0 expired sessions were deleted" in response.content
    assert RefreshToken.objects.count() == len(session_states)


def test_a_user_s_page_links_to_the_sessions_and_revokes_them_all(admin_client):
    user = make_user("alice")
    sessions = [SignedIn("alice") for _ in range(3)]
    page = admin_client.get(f"{USERS}{user.pk}/change/").content.decode()
    assert f"{SESSIONS}?owner__id__exact={user.pk}" in page

    response = admin_client.post(f"{USERS}{user.pk}/revoke/", CONFIRMED, follow=True)

    assert b"3 sessions of alice were revoked." in response.content
    assert {session.content().status_code for session in sessions} == {401}


@pytest.mark.parametrize(
    ("button", "title", "message"),
    [
        ("revoke", "Revoke 1 session of alice", "1 session of alice was revoked."),
        (
            "reset",
            "Force a password reset for alice",
            "Forced a password reset for alice, who gets an email with a link.",
        ),
    ],
)
def test_the_buttons_on_a_user_s_page_ask_for_confirmation(admin_client, button, title, message):
    signed_in = SignedIn(make_user("alice").username)
    page = f"{USERS}{signed_in.claims.user_id}/"

    confirmation = admin_client.post(f"{page}{button}/").content.decode()

    assert f'name="confirmed" value="{title}"' in confirmation
    assert f'href="{page}change/"' in confirmation
    assert signed_in.content().status_code == 200
    assert not LogEntry.objects.exists()

    assert message in admin_client.post(f"{page}{button}/", CONFIRMED, follow=True).content.decode()
    assert signed_in.content().status_code == 401


def test_sessions_cannot_be_created_in_the_admin(admin_client):
    assert admin_client.get(f"{SESSIONS}add/").status_code == 403


def test_a_user_created_in_the_admin_can_sign_in(admin_client, api):
    form = {
        "username": " Bøb ", "email": "Bob@example.com", "fullname": "",
        "usable_password": "true", "password1": "a good password 1", "password2": "a good password 1",
    }  # fmt: skip
    assert admin_client.post(f"{USERS}add/", form).status_code == 302

    assert api.sign_in("bØB", "a good password 1").status_code == 200


@pytest.mark.parametrize(("username", "email"), [("ALICE", "x@example.com"), ("x", "Alice@Example.com")])
def test_a_name_that_differs_from_a_taken_one_only_by_case_is_rejected(admin_client, username, email):
    make_user("alice")
    form = {"username": username, "email": email, "password1": "a good one 1", "password2": "a good one 1"}

    response = admin_client.post(f"{USERS}add/", {**form, "usable_password": "true"})

    assert response.status_code == 200
    assert b"Another account has this" in response.content


def test_a_user_renamed_in_the_admin_signs_in_only_with_the_new_name(admin_client, api):
    user = make_user("alice")
    form = {"username": "Alicia", "email": "alicia@example.com", "is_active": "on", "roles": ["user"]}

    assert admin_client.post(f"{USERS}{user.pk}/change/", form).status_code == 302

    assert api.sign_in("ALICIA").status_code == 200
    assert api.sign_in("alice").status_code == 401
    assert api.sign_up("alice", email="alice@example.com").status_code == 201


def unchanged_form(admin_client, user):
    """Return the form data that a browser submits from the user's page if nothing is changed."""
    page = admin_client.get(f"{USERS}{user.pk}/change/").content.decode()
    fields = re.findall(r'<input type="(?:text|email|hidden|checkbox)" name="([^"]+)"([^>]*)>', page)
    form = {}
    for name, rest in fields:
        value = re.search(r'value="([^"]*)"', rest)
        if 'type="checkbox"' in rest or name in {"is_active", "is_staff", "is_superuser"}:
            if "checked" not in rest:
                continue
            value = None
        form.setdefault(name, []).append(value[1] if value else "on")
    form["roles"] = list(user.role_names)
    return form


def test_saving_a_page_preserves_changes_made_since_it_was_opened(admin_client):
    user = make_user("alice")
    form = unchanged_form(admin_client, user) | {"fullname": "Alice A."}
    call_command("deactivateuser", "alice")
    call_command("grantrole", "alice", "moderator")
    User.objects.filter(pk=user.pk).update(email="new@example.com", email_key="new@example.com")

    assert admin_client.post(f"{USERS}{user.pk}/change/", form).status_code == 302

    user.refresh_from_db()
    assert (user.fullname, user.is_active, user.email) == ("Alice A.", False, "new@example.com")
    assert user.role_names == ("moderator", "user")


def test_names_are_validated_in_their_normalized_form(admin_client):
    form = {"email": "x@example.com", "password1": "a good one 1", "password2": "a good one 1"}
    for username in ("⑴x", "ﷺ", "ﷺ" * 150):
        response = admin_client.post(f"{USERS}add/", {**form, "username": username, "usable_password": "true"})
        assert response.status_code == 200
        assert response.context["errors"]
    assert User.objects.count() == 1


def test_a_staff_user_who_may_edit_users_cannot_grant_privileges_or_edit_superusers(client, administrator):
    clerk = make_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="change_user"))
    client.force_login(clerk)
    form = {"username": "clerk", "email": "clerk@example.com", "is_active": "on"}

    privileges = {"is_staff": "on", "is_superuser": "on", "roles": ["admin"]}
    assert client.post(f"{USERS}{clerk.pk}/change/", form | privileges).status_code == 302
    clerk = User.objects.get(pk=clerk.pk)
    assert (clerk.is_staff, clerk.is_superuser, clerk.role_names) == (True, False, ("user",))

    passwords = {"password1": "another good one", "password2": "another good one"}
    assert client.post(f"{USERS}{administrator.pk}/password/", passwords).status_code == 403
    assert client.post(f"{USERS}{administrator.pk}/revoke/", CONFIRMED).status_code == 403
    assert User.objects.get(pk=administrator.pk).check_password(PASSWORD)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (SESSIONS, {"action": "revoke_selected", "_selected_action": ["zz"]}),
        (SESSIONS, {"action": "purge_selected", "_selected_action": ["\0"]}),
        (USERS, {"action": "deactivate_selected", "_selected_action": ["9" * 25]}),
        (USERS, {"action": "deactivate_selected", "_selected_action": ["\0"]}),
        ("/admin/login/", {"username": "\0", "password": "x"}),
    ],
)
def test_malformed_selections_cause_no_server_error(admin_client, path, form):
    assert admin_client.post(path, form).status_code in (200, 302, 400)


@pytest.mark.parametrize(
    "path",
    [
        f"{USERS}?created_at__year=99999999",
        f"{SESSIONS}?created_at__year=99999999",
        f"{USERS}?roles__name__exact=%00",
        f"{SESSIONS}?reason=%00",
        f"{SESSIONS}%00/change/",
        "/admin/autocomplete/?term=%00&app_label=accounts&model_name=refreshtoken&field_name=owner",
        "/admin/r/4/%00/",
    ],
)
def test_malformed_urls_cause_no_server_error(admin_client, path):
    assert admin_client.get(path).status_code in (200, 302, 400, 404)


def test_a_malformed_session_cookie_is_treated_as_signed_out(client):
    client.cookies["sessionid"] = "aaaaaaaaaa\0"

    assert client.get("/admin/").status_code == 302


def test_selected_users_are_deactivated_and_activated(admin_client, api):
    alice = make_user("alice")
    signed_in = SignedIn("alice")

    admin_client.post(USERS, {**CONFIRMED, "action": "deactivate_selected", "_selected_action": [alice.pk]})
    assert signed_in.content().status_code == 401
    admin_client.post(USERS, {"action": "activate_selected", "_selected_action": [alice.pk]})

    assert signed_in.content().status_code == 401
    assert api.sign_in("alice").status_code == 200


def test_view_permission_shows_a_session_without_the_revoke_button(client):
    clerk = make_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_refreshtoken"))
    client.force_login(clerk)
    session = session_id(SignedIn("clerk"))

    page = client.get(f"{SESSIONS}{session}/change/")
    assert page.status_code == 200
    assert b"Revoke this session" not in page.content


def test_the_list_stops_counting_rows_at_the_maximum(admin_client, django_assert_max_num_queries):
    owner = make_user("alice")
    now = timezone.now()
    RefreshToken.objects.bulk_create(
        RefreshToken(
            owner=owner, owner_stamp=owner.security_stamp, created_at=now, authenticated_at=now, last_used_at=now,
            expires_at=now + timedelta(days=1), session_expires_at=now + timedelta(days=1), secret_digest=b"",
        )
        for _ in range(MAX_COUNT + 50)
    )  # fmt: skip

    with django_assert_max_num_queries(6) as queries:
        page = admin_client.get(SESSIONS)

    assert page.context["cl"].result_count == MAX_COUNT
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert counts
    assert all(f"LIMIT {MAX_COUNT}" in count for count in counts)


def test_an_administrator_can_sign_in_with_an_email_address(administrator):
    browser = Client()

    assert browser.post("/admin/login/", {"username": "root@example.com", "password": PASSWORD}).status_code == 302


def test_the_admin_sets_only_the_session_and_csrf_cookies(admin_client):
    user = make_user("alice")
    admin_client.post(f"/admin/accounts/user/{user.pk}/revoke/", CONFIRMED)

    assert set(admin_client.cookies) <= {"sessionid", "csrftoken"}
    assert "sessions of alice were revoked" in admin_client.get("/admin/").content.decode()
