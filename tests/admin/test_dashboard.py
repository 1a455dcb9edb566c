"""The admin's first page, the links between pages, and the confirmation of bulk actions."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.admin import dashboard
from accounts.history.events import Event
from accounts.models import Activity, EndReason, RefreshToken
from tests.conftest import SignedIn
from tests.environment import ON_POSTGRESQL
from tests.factories import make_user

SESSIONS, HISTORY, USERS = (f"/admin/accounts/{name}/" for name in ("refreshtoken", "activity", "user"))


@pytest.fixture(autouse=True)
def _frozen_clock(clock):
    """Stop the clock."""


def figures(admin_client):
    """Return the counts on the first page: the number and the URL by label."""
    page = admin_client.get("/admin/").content.decode()
    rows = re.findall(r'<th scope="row"><a href="([^"]+)">([^<]+)</a></th><td>([^<]+)</td>', page)
    return {label: (count, url.replace("&amp;", "&")) for url, label, count in rows}


def listed_rows(admin_client, url):
    page = admin_client.get(url)
    assert page.status_code == 200
    return list(page.context["cl"].result_list)


def make_entries(event, count=1, age=timedelta(), user=None):
    owner = user or make_user()
    return Activity.objects.bulk_create(
        Activity(user=owner, event=event, at=timezone.now() - age) for _ in range(count)
    )


def test_the_first_page_counts_sessions_and_links_to_them(admin_client):
    make_user("alice")
    live, expired, ended = (SignedIn("alice").claims.session_id for _ in range(3))
    RefreshToken.objects.filter(pk=expired).update(expires_at=timezone.now() - timedelta(days=1))
    RefreshToken.objects.filter(pk=ended).end(EndReason.SIGNED_OUT, at=timezone.now())

    displayed = figures(admin_client)

    assert (displayed["Live"][0], displayed["Expired, not yet purged"][0]) == ("1", "1")
    assert [session.pk for session in listed_rows(admin_client, displayed["Live"][1])] == [live]
    assert [session.pk for session in listed_rows(admin_client, displayed["Expired, not yet purged"][1])] == [
        expired
    ]


def test_a_session_whose_owner_is_deactivated_is_not_counted_as_live(admin_client):
    user = make_user("alice")
    SignedIn("alice")
    type(user).objects.filter(pk=user.pk).update(is_active=False)

    assert figures(admin_client)["Live"][0] == "0"


@pytest.mark.parametrize(("event", "label"), dashboard.LAST_DAY_LABELS.items(), ids=str)
def test_the_first_page_counts_events_of_the_last_24_hours_and_links_to_them(admin_client, event, label):
    make_entries(event, age=timedelta(days=1, seconds=1))
    recent = make_entries(event, 2, age=timedelta(hours=23))
    make_entries(Event.ROLES_CHANGED)

    count, url = figures(admin_client)[label]

    assert count == "2"
    assert {entry.pk for entry in listed_rows(admin_client, url)} == {entry.pk for entry in recent}


def test_a_count_stops_at_the_maximum(admin_client, monkeypatch):
    monkeypatch.setattr(dashboard, "MAX_COUNT", 3)
    make_entries(Event.SIGN_IN_FAILED, 4)
    make_entries(Event.SESSION_REUSED, 3)

    displayed = figures(admin_client)

    assert displayed["Failed sign-ins"][0] == "3+"
    assert displayed[dashboard.LAST_DAY_LABELS[Event.SESSION_REUSED]][0] == "3"


def test_the_count_of_live_sessions_reads_a_bounded_number_of_rows(admin_client, monkeypatch):
    make_user("alice")
    ids = [SignedIn("alice").claims.session_id for _ in range(4)]
    RefreshToken.objects.filter(pk__in=ids[:2]).end(EndReason.SIGNED_OUT, at=timezone.now())
    monkeypatch.setattr(dashboard, "_MAX_ROWS_READ", 4)

    assert figures(admin_client)["Live"][0] == "2+"


def test_a_user_without_view_permission_sees_no_counts():
    clerk = make_user("clerk", is_staff=True)
    browser = Client()
    browser.force_login(clerk)
    assert figures(browser) == {}

    clerk.user_permissions.add(Permission.objects.get(codename="view_activity"))
    assert "Live" not in figures(browser)
    assert "Failed sign-ins" in figures(browser)


@pytest.mark.skipif(not ON_POSTGRESQL, reason="reads PostgreSQL's query plans")
def test_every_count_uses_an_index(administrator):
    for event in (Event.SIGN_IN_SUCCEEDED, Event.SESSION_REUSED):
        make_entries(event, 10)
    with CaptureQueriesContext(connection) as queries:
        for rows in dashboard.figures_for(administrator).values():
            list(rows)

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query in [query["sql"] for query in queries if "COUNT" in query["sql"] or "activity" in query["sql"]]:
            cursor.execute(f"EXPLAIN {query}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan" not in plan, f"{query}\n{plan}"


def test_a_user_and_the_user_s_sessions_link_to_each_other(admin_client):
    user = make_user("alice")
    session_id = SignedIn("alice").claims.session_id
    sessions_of_user = f"{SESSIONS}?owner__id__exact={user.pk}"

    assert f'href="{sessions_of_user}"' in admin_client.get(USERS).content.decode()
    assert f'href="{sessions_of_user}"' in admin_client.get(f"{USERS}{user.pk}/change/").content.decode()
    assert (
        f'href="{USERS}{user.pk}/change/">Back to the user' in admin_client.get(sessions_of_user).content.decode()
    )
    page = admin_client.get(f"{SESSIONS}{session_id}/change/").content.decode()
    assert f'href="{sessions_of_user}"' in page
    assert f'href="{USERS}{user.pk}/change/"' in page


def test_a_session_s_page_explains_its_state(admin_client):
    user = make_user("alice")
    session_id = SignedIn("alice").claims.session_id
    row = RefreshToken.objects.filter(pk=session_id)
    past = timezone.now() - timedelta(days=1)

    def displayed():
        return admin_client.get(f"{SESSIONS}{session_id}/change/").content.decode()

    assert "Its access token is accepted" in displayed()
    row.update(expires_at=past)
    assert "It was not refreshed in time" in displayed()
    row.update(expires_at=past, session_expires_at=past)
    assert "It reached its maximum lifetime" in displayed()
    row.end(EndReason.REUSED, at=timezone.now())
    assert "Reason: refresh token reused." in displayed()
    row.update(ended_at=None, end_reason="", owner=make_user("gone", is_active=False))
    assert "Reason: owner deactivated." in displayed()
    assert user.is_active


SELECTIONS = [
    (SESSIONS, "revoke_selected", "Revoke 2 sessions of alice"),
    (SESSIONS, "purge_selected", "Purge expired sessions (2 sessions of alice selected)"),
    (USERS, "deactivate_selected", "Deactivate 1 user"),
    (USERS, "force_reset_selected", "Force a password reset for 1 user"),
    (USERS, "revoke_selected", "Revoke all sessions of 1 user"),
]


@pytest.mark.parametrize(("path", "action", "title"), SELECTIONS)
def test_no_action_runs_before_it_is_confirmed(admin_client, path, action, title, mailoutbox):
    user = make_user("alice")
    signed_in = SignedIn("alice")
    RefreshToken.objects.create(**_expired(user))
    selected = RefreshToken.objects.all() if path == SESSIONS else [user]
    form = {"action": action, "_selected_action": [str(row.pk) for row in selected]}

    page = admin_client.post(path, form)

    assert page.status_code == 200
    assert f'name="confirmed" value="{title}"' in page.content.decode()
    assert signed_in.content().status_code == 200
    assert RefreshToken.objects.count() == 2
    assert not mailoutbox

    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.content.decode())
    form_again = {name: [value for other, value in hidden if other == name] for name, _ in hidden}
    result_page = admin_client.post(path, {**form_again, "confirmed": title}, follow=True)

    assert 'class="success"' in result_page.content.decode()
    assert (
        (RefreshToken.objects.count() == 1)
        if action == "purge_selected"
        else signed_in.content().status_code == 401
    )


def _expired(user):
    past = timezone.now() - timedelta(days=2)
    return {
        "owner": user, "owner_stamp": user.security_stamp, "secret_digest": b"x", "expires_at": past,
        "session_expires_at": past, "created_at": past, "authenticated_at": past, "last_used_at": past,
    }  # fmt: skip


def test_the_confirmation_counts_a_selection_across_pages(admin_client, monkeypatch):
    monkeypatch.setattr(dashboard, "MAX_COUNT", 2)
    make_user("alice")
    ids = [SignedIn("alice").claims.session_id for _ in range(3)]
    form = {"action": "revoke_selected", "select_across": "1", "_selected_action": [str(ids[0])]}

    assert 'value="Revoke 2+ sessions of alice"' in admin_client.post(SESSIONS, form).content.decode()
    result_page = admin_client.post(SESSIONS, {**form, "confirmed": "Revoke 2+ sessions of alice"}, follow=True)

    assert "3 sessions were revoked" in result_page.content.decode()
