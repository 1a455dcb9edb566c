"""The Django admin: sessions are found, shown, revoked and purged; nothing secret is on any page."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.admin.lists import MOST_ROWS
from accounts.models import EndReason, RefreshToken, User
from tests.conftest import SignedIn
from tests.factories import PASSWORD, make_user

SESSIONS = "/admin/accounts/refreshtoken/"
USERS = "/admin/accounts/user/"
CONFIRMED = {"confirmed": "Yes, do it"}


@pytest.fixture(autouse=True)
def _still(clock):
    """Keep the time from moving."""


def listed(site, query=""):
    page = site.get(f"{SESSIONS}{query}")
    assert page.status_code == 200
    return {session.pk for session in page.context["cl"].result_list}


def session_of(signed_in):
    return signed_in.claims.session_id


@pytest.fixture
def states():
    """One session in each state, and why."""
    make_user("alice")
    live, signed_out, reused, expired, switched_off = (SignedIn("alice") for _ in range(5))
    signed_out.post("/api/auth/signout", token=signed_out.access_token)
    RefreshToken.objects.filter(pk=session_of(reused)).end(EndReason.REUSED, at=timezone.now())
    RefreshToken.objects.filter(pk=session_of(expired)).update(expires_at=timezone.now() - timedelta(seconds=1))
    RefreshToken.objects.filter(pk=session_of(switched_off)).update(owner=make_user("gone", is_active=False))
    return {
        "live": session_of(live),
        "signed out": session_of(signed_out),
        "reused": session_of(reused),
        "expired": session_of(expired),
        "owner deactivated": session_of(switched_off),
    }


def test_the_list_tells_each_session_s_state_and_why(site, states):
    page = site.get(SESSIONS).content.decode()

    for words in (
        ">live<",
        ">expired<",
        "revoked: signed out",
        "revoked: refresh token reused",
        "revoked: owner deactivated",
    ):
        assert words in page


def test_sessions_are_filtered_by_state(site, states):
    assert listed(site, "?state=live") == {states["live"]}
    assert listed(site, "?state=expired") == {states["expired"]}
    assert listed(site, "?state=ended") == {states["signed out"], states["reused"]}


def test_sessions_are_filtered_by_the_reason_for_their_end(site, states):
    assert listed(site, "?reason=reused") == {states["reused"]}
    assert listed(site, "?reason=reused&state=ended") == {states["reused"]}


def test_no_session_that_was_not_ended_has_a_reason_for_it(site, states):
    for state in ("live", "expired"):
        assert listed(site, f"?reason=reused&state={state}") == set()


def test_sessions_are_found_by_owner_address_and_id(site):
    make_user("alice"), make_user("bob")
    alice, bob = SignedIn("alice", REMOTE_ADDR="192.0.2.7"), SignedIn("bob")

    assert listed(site, "?q=ALI") == {session_of(alice)}
    assert listed(site, "?q=bob@example") == {session_of(bob)}
    assert listed(site, "?q=192.0.2.7") == {session_of(alice)}
    assert listed(site, f"?q={session_of(bob)}") == {session_of(bob)}
    assert listed(site, "?q=nobody") == set()
    assert listed(site, f"?owner__id__exact={User.objects.get(username='bob').pk}") == {session_of(bob)}


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
def test_strange_queries_are_no_fault(site, query):
    assert site.get(f"{SESSIONS}{query}").status_code in (200, 302, 400)
    assert site.get(f"{USERS}{query}").status_code in (200, 302, 400)


def test_the_owner_is_chosen_from_a_few_names_at_a_time(site):
    alice, bob = make_user("alice"), make_user("bob")
    SignedIn("alice"), SignedIn("bob")
    page = site.get(SESSIONS).content.decode()
    assert "admin-autocomplete" in page
    assert len(listed(site, "?owner__id__exact=")) == 2
    assert f'<option value="{alice.pk}"' not in page
    assert (
        f'<option value="{bob.pk}" selected>bob</option>'
        in site.get(f"{SESSIONS}?owner__id__exact={bob.pk}").content.decode()
    )

    asked = {"term": "ALI", "app_label": "accounts", "model_name": "refreshtoken", "field_name": "owner"}
    assert [found["text"] for found in site.get("/admin/autocomplete/", asked).json()["results"]] == ["alice"]


@pytest.mark.parametrize("owner", ["x", "-1", "9" * 30, "1.5", "١"])
def test_an_owner_that_is_none_has_no_sessions(site, owner):
    SignedIn(make_user().username)

    assert listed(site, f"?owner__id__exact={owner}") == set()


def test_a_session_s_page_shows_it_and_changes_nothing(site):
    signed_in = SignedIn(make_user("alice").username, HTTP_USER_AGENT="Firefox <b>")
    page = site.get(f"{SESSIONS}{session_of(signed_in)}/change/").content.decode()

    assert "alice" in page
    assert "Firefox &lt;b&gt;" in page
    assert 'name="_save"' not in page
    assert "Revoke this session" in page


def test_nothing_secret_is_on_any_page(site):
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
        page = site.get(path)
        assert page.status_code == 200, path
        assert not [secret for secret in secrets if secret in page.content.decode()], path


def test_revoking_one_session_is_logged_with_who_did_it(site, administrator, events, assert_refused):
    signed_in = SignedIn(make_user("alice").username)

    answer = site.post(f"{SESSIONS}{session_of(signed_in)}/revoke/", follow=True)

    assert b"The session was revoked." in answer.content
    assert b"Revoke this session" not in answer.content
    assert_refused(signed_in.content(), 401, "token_revoked")
    assert LogEntry.objects.get().user == administrator
    assert [line["by"] for line in events() if line["event"] == "session:ended"] == [administrator.pk]


def test_revoking_needs_a_post_and_a_permission(site, client):
    signed_in = SignedIn(make_user("alice").username)
    paths = [f"{SESSIONS}{session_of(signed_in)}/revoke/", f"{USERS}{signed_in.claims.user_id}/revoke/"]
    clerk = make_user("clerk", is_staff=True)
    client.force_login(clerk)

    for path in paths:
        assert site.get(path).status_code == 405
        assert client.post(path).status_code == 403
        assert Client().post(path).status_code == 302
        assert Client(enforce_csrf_checks=True).post(path).status_code == 403
    assert signed_in.content().status_code == 200


@pytest.mark.parametrize(
    "path", [f"{SESSIONS}00000000-0000-0000-0000-000000000000/revoke/", f"{USERS}99999/revoke/"]
)
def test_revoking_what_is_not_there_is_not_found(site, path):
    assert site.post(path).status_code == 404


def test_revoking_a_selection_ends_those_that_are_live(site, states):
    everything = {
        **CONFIRMED,
        "action": "revoke_selected",
        "_selected_action": [str(pk) for pk in states.values()],
    }

    answer = site.post(SESSIONS, everything, follow=True)

    assert b"3 sessions were revoked" in answer.content
    assert not RefreshToken.objects.filter(ended_at=None).exists()
    assert RefreshToken.objects.get(pk=states["reused"]).end_reason == EndReason.REUSED


def test_purging_a_selection_deletes_those_that_have_expired(site, states):
    everything = {**CONFIRMED, "action": "purge_selected", "_selected_action": [str(pk) for pk in states.values()]}

    answer = site.post(SESSIONS, everything, follow=True)

    assert b"1 expired session was deleted" in answer.content
    assert set(RefreshToken.objects.values_list("pk", flat=True)) == set(states.values()) - {states["expired"]}


@pytest.mark.parametrize("query", ["?q=nobody", "?state=live&reason=signed_out", "?state=live", "?state=ended"])
def test_purging_under_a_filter_that_lets_nothing_through_is_no_fault(site, states, query):
    form = {**CONFIRMED, "action": "purge_selected", "_selected_action": [str(states["expired"])]}

    for selection in (form, {**form, "select_across": "1"}):
        answer = site.post(SESSIONS + query, selection, follow=True)
        assert b"0 expired sessions were deleted" in answer.content
    assert RefreshToken.objects.count() == len(states)


def test_a_user_s_page_leads_to_the_sessions_and_revokes_them_all(site):
    user = make_user("alice")
    sessions = [SignedIn("alice") for _ in range(3)]
    page = site.get(f"{USERS}{user.pk}/change/").content.decode()
    assert f"{SESSIONS}?owner__id__exact={user.pk}" in page

    answer = site.post(f"{USERS}{user.pk}/revoke/", CONFIRMED, follow=True)

    assert b"3 sessions of alice were revoked." in answer.content
    assert {session.content().status_code for session in sessions} == {401}


@pytest.mark.parametrize(
    ("button", "done"), [("revoke", "1 session of alice was revoked."), ("reset", " has no password now")]
)
def test_a_user_s_buttons_ask_first(site, button, done):
    signed_in = SignedIn(make_user("alice").username)
    page = f"{USERS}{signed_in.claims.user_id}/"

    asked = site.post(f"{page}{button}/").content.decode()

    assert "Chosen: alice." in asked
    assert f'href="{page}change/"' in asked
    assert signed_in.content().status_code == 200
    assert not LogEntry.objects.exists()

    assert done in site.post(f"{page}{button}/", CONFIRMED, follow=True).content.decode()
    assert signed_in.content().status_code == 401


def test_sessions_are_not_made_in_the_admin(site):
    assert site.get(f"{SESSIONS}add/").status_code == 403


def test_a_user_is_made_in_the_admin(site, api):
    form = {
        "username": " Bøb ", "email": "Bob@example.com", "fullname": "",
        "usable_password": "true", "password1": "a good password 1", "password2": "a good password 1",
    }  # fmt: skip
    assert site.post(f"{USERS}add/", form).status_code == 302

    assert api.sign_in("bØB", "a good password 1").status_code == 200


@pytest.mark.parametrize(("username", "email"), [("ALICE", "x@example.com"), ("x", "Alice@Example.com")])
def test_a_name_that_is_taken_in_another_spelling_is_refused_on_the_form(site, username, email):
    make_user("alice")
    form = {"username": username, "email": email, "password1": "a good one 1", "password2": "a good one 1"}

    answer = site.post(f"{USERS}add/", {**form, "usable_password": "true"})

    assert answer.status_code == 200
    assert b"Another account has this" in answer.content


def test_a_user_is_renamed_in_the_admin(site, api):
    user = make_user("alice")
    form = {"username": "Alicia", "email": "alicia@example.com", "is_active": "on", "roles": ["user"]}

    assert site.post(f"{USERS}{user.pk}/change/", form).status_code == 302

    assert api.sign_in("ALICIA").status_code == 200
    assert api.sign_in("alice").status_code == 401
    assert api.sign_up("alice", email="alice@example.com").status_code == 201


def opened(site, user):
    """Return the user's page as a browser would send it back unchanged."""
    page = site.get(f"{USERS}{user.pk}/change/").content.decode()
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


def test_saving_a_page_undoes_nothing_that_was_changed_since_it_was_opened(site):
    user = make_user("alice")
    form = opened(site, user) | {"fullname": "Alice A."}
    call_command("deactivateuser", "alice")
    call_command("grantrole", "alice", "moderator")
    User.objects.filter(pk=user.pk).update(email="new@example.com", email_key="new@example.com")

    assert site.post(f"{USERS}{user.pk}/change/", form).status_code == 302

    user.refresh_from_db()
    assert (user.fullname, user.is_active, user.email) == ("Alice A.", False, "new@example.com")
    assert user.role_names == ("moderator", "user")


def test_names_are_held_against_the_rules_as_they_would_be_stored(site):
    form = {"email": "x@example.com", "password1": "a good one 1", "password2": "a good one 1"}
    for username in ("⑴x", "ﷺ", "ﷺ" * 150):
        answer = site.post(f"{USERS}add/", {**form, "username": username, "usable_password": "true"})
        assert answer.status_code == 200
        assert answer.context["errors"]
    assert User.objects.count() == 1


def test_who_may_edit_users_gives_no_rights_and_leaves_superusers_alone(client, administrator):
    clerk = make_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="change_user"))
    client.force_login(clerk)
    form = {"username": "clerk", "email": "clerk@example.com", "is_active": "on"}

    rights = {"is_staff": "on", "is_superuser": "on", "roles": ["admin"]}
    assert client.post(f"{USERS}{clerk.pk}/change/", form | rights).status_code == 302
    clerk = User.objects.get(pk=clerk.pk)
    assert (clerk.is_staff, clerk.is_superuser, clerk.role_names) == (True, False, ("user",))

    taken = {"password1": "another good one", "password2": "another good one"}
    assert client.post(f"{USERS}{administrator.pk}/password/", taken).status_code == 403
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
def test_strange_selections_are_no_fault(site, path, form):
    assert site.post(path, form).status_code in (200, 302, 400)


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
def test_strange_addresses_are_no_fault(site, path):
    assert site.get(path).status_code in (200, 302, 400, 404)


def test_a_strange_session_cookie_is_no_session(client):
    client.cookies["sessionid"] = "aaaaaaaaaa\0"

    assert client.get("/admin/").status_code == 302


def test_selected_users_are_deactivated_and_activated(site, api):
    alice = make_user("alice")
    signed_in = SignedIn("alice")

    site.post(USERS, {**CONFIRMED, "action": "deactivate_selected", "_selected_action": [alice.pk]})
    assert signed_in.content().status_code == 401
    site.post(USERS, {"action": "activate_selected", "_selected_action": [alice.pk]})

    assert signed_in.content().status_code == 401
    assert api.sign_in("alice").status_code == 200


def test_whoever_may_not_edit_sessions_may_still_look(client):
    clerk = make_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_refreshtoken"))
    client.force_login(clerk)
    session_id = session_of(SignedIn("clerk"))

    page = client.get(f"{SESSIONS}{session_id}/change/")
    assert page.status_code == 200
    assert b"Revoke this session" not in page.content


def test_the_list_counts_no_further_than_a_person_pages(site, django_assert_max_num_queries):
    owner = make_user("alice")
    now = timezone.now()
    RefreshToken.objects.bulk_create(
        RefreshToken(
            owner=owner, owner_stamp=owner.security_stamp, created_at=now, authenticated_at=now, last_used_at=now,
            expires_at=now + timedelta(days=1), session_expires_at=now + timedelta(days=1), secret_digest=b"",
        )
        for _ in range(MOST_ROWS + 50)
    )  # fmt: skip

    with django_assert_max_num_queries(6) as queries:
        page = site.get(SESSIONS)

    assert page.context["cl"].result_count == MOST_ROWS
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert counts
    assert all(f"LIMIT {MOST_ROWS}" in count for count in counts)


def test_an_administrator_signs_in_with_an_e_mail_address_too(administrator):
    browser = Client()

    assert browser.post("/admin/login/", {"username": "root@example.com", "password": PASSWORD}).status_code == 302


def test_a_browser_keeps_no_cookie_of_the_admin_but_the_session_and_the_csrf_token(site):
    user = make_user("alice")
    site.post(f"/admin/accounts/user/{user.pk}/revoke/", CONFIRMED)

    assert set(site.cookies) <= {"sessionid", "csrftoken"}
    assert "sessions of alice were revoked" in site.get("/admin/").content.decode()
