"""The admin as a tool: figures that lead to lists, ways there and back, and a question before much is done at once."""

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
def _still(clock):
    """Keep the time from moving."""


def figures(site):
    """What the first page shows: label, number and where it leads."""
    page = site.get("/admin/").content.decode()
    rows = re.findall(r'<th scope="row"><a href="([^"]+)">([^<]+)</a></th><td>([^<]+)</td>', page)
    return {label: (number, url.replace("&amp;", "&")) for url, label, number in rows}


def listed(site, url):
    page = site.get(url)
    assert page.status_code == 200
    return list(page.context["cl"].result_list)


def happened(event, number=1, ago=timedelta(), user=None):
    owner = user or make_user()
    return Activity.objects.bulk_create(
        Activity(user=owner, event=event, at=timezone.now() - ago) for _ in range(number)
    )


def test_the_first_page_tells_of_sessions_and_leads_to_them(site):
    make_user("alice")
    live, expired, ended = (SignedIn("alice").claims.session_id for _ in range(3))
    RefreshToken.objects.filter(pk=expired).update(expires_at=timezone.now() - timedelta(days=1))
    RefreshToken.objects.filter(pk=ended).end(EndReason.SIGNED_OUT, at=timezone.now())

    shown = figures(site)

    assert (shown["Live"][0], shown["Expired, and not purged yet"][0]) == ("1", "1")
    assert [session.pk for session in listed(site, shown["Live"][1])] == [live]
    assert [session.pk for session in listed(site, shown["Expired, and not purged yet"][1])] == [expired]


def test_a_session_whose_owner_is_deactivated_is_not_counted_as_live(site):
    user = make_user("alice")
    SignedIn("alice")
    type(user).objects.filter(pk=user.pk).update(is_active=False)

    assert figures(site)["Live"][0] == "0"


@pytest.mark.parametrize(("event", "label"), dashboard.OF_LAST_DAY.items(), ids=str)
def test_the_first_page_tells_what_the_last_day_brought_and_leads_there(site, event, label):
    happened(event, ago=timedelta(days=1, seconds=1))
    recent = happened(event, 2, ago=timedelta(hours=23))
    happened(Event.ROLES_CHANGED)

    number, url = figures(site)[label]

    assert number == "2"
    assert {entry.pk for entry in listed(site, url)} == {entry.pk for entry in recent}


def test_figures_end_where_nobody_reads_them(site, monkeypatch):
    monkeypatch.setattr(dashboard, "HIGHEST", 3)
    happened(Event.SIGN_IN_FAILED, 4)
    happened(Event.SESSION_REUSED, 3)

    shown = figures(site)

    assert shown["Failed sign-ins"][0] == "3+"
    assert shown[dashboard.OF_LAST_DAY[Event.SESSION_REUSED]][0] == "3"


def test_live_sessions_are_looked_for_among_so_many_and_no_more(site, monkeypatch):
    make_user("alice")
    ids = [SignedIn("alice").claims.session_id for _ in range(4)]
    RefreshToken.objects.filter(pk__in=ids[:2]).end(EndReason.SIGNED_OUT, at=timezone.now())
    monkeypatch.setattr(dashboard, "_MOST_READ", 4)

    assert figures(site)["Live"][0] == "2+"


def test_who_may_not_see_sessions_or_events_sees_no_figures():
    clerk = make_user("clerk", is_staff=True)
    browser = Client()
    browser.force_login(clerk)
    assert figures(browser) == {}

    clerk.user_permissions.add(Permission.objects.get(codename="view_activity"))
    assert "Live" not in figures(browser)
    assert "Failed sign-ins" in figures(browser)


@pytest.mark.skipif(not ON_POSTGRESQL, reason="plans are PostgreSQL's")
def test_every_figure_is_read_from_an_index(administrator):
    for event in (Event.SIGN_IN_SUCCEEDED, Event.SESSION_REUSED):
        happened(event, 10)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for rows in dashboard.figures(administrator).values():
            list(rows)

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query in [query["sql"] for query in queries if "COUNT" in query["sql"] or "activity" in query["sql"]]:
            cursor.execute(f"EXPLAIN {query}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan" not in plan, f"{query}\n{plan}"


def test_the_ways_between_a_user_and_the_sessions_are_one_click(site):
    user = make_user("alice")
    session_id = SignedIn("alice").claims.session_id
    of_user = f"{SESSIONS}?owner__id__exact={user.pk}"

    assert f'href="{of_user}"' in site.get(USERS).content.decode()
    assert f'href="{of_user}"' in site.get(f"{USERS}{user.pk}/change/").content.decode()
    assert f'href="{USERS}{user.pk}/change/">Back to the user' in site.get(of_user).content.decode()
    page = site.get(f"{SESSIONS}{session_id}/change/").content.decode()
    assert f'href="{of_user}"' in page
    assert f'href="{USERS}{user.pk}/change/"' in page


def test_a_session_s_page_says_what_its_state_means(site):
    user = make_user("alice")
    session_id = SignedIn("alice").claims.session_id
    row = RefreshToken.objects.filter(pk=session_id)
    past = timezone.now() - timedelta(days=1)

    def shown():
        return site.get(f"{SESSIONS}{session_id}/change/").content.decode()

    assert "Live: its access token is honoured" in shown()
    row.update(expires_at=past)
    assert "Expired: it was not refreshed in time" in shown()
    row.update(expires_at=past, session_expires_at=past)
    assert "Expired: it reached the longest life" in shown()
    row.end(EndReason.REUSED, at=timezone.now())
    assert "Revoked: refresh token reused." in shown()
    row.update(ended_at=None, end_reason="", owner=make_user("gone", is_active=False))
    assert "Revoked: owner deactivated." in shown()
    assert user.is_active


SELECTIONS = [
    (SESSIONS, "revoke_selected"), (SESSIONS, "purge_selected"),
    (USERS, "deactivate_selected"), (USERS, "force_reset_selected"), (USERS, "revoke_selected"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "action"), SELECTIONS)
def test_nothing_is_done_to_a_selection_before_it_is_confirmed(site, path, action, mailoutbox):
    user = make_user("alice")
    signed_in = SignedIn("alice")
    RefreshToken.objects.create(**_expired(user))
    chosen = RefreshToken.objects.all() if path == SESSIONS else [user]
    form = {"action": action, "_selected_action": [str(row.pk) for row in chosen]}

    page = site.post(path, form)

    assert page.status_code == 200
    assert f"Chosen: {len(chosen)} " in page.content.decode()
    assert signed_in.content().status_code == 200
    assert RefreshToken.objects.count() == 2
    assert not mailoutbox

    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.content.decode())
    again = {name: [value for other, value in hidden if other == name] for name, _ in hidden}
    done = site.post(path, {**again, "confirmed": "Yes, do it"}, follow=True)

    assert 'class="success"' in done.content.decode()
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


def test_more_than_a_page_is_told_before_it_is_revoked(site, monkeypatch):
    monkeypatch.setattr(dashboard, "HIGHEST", 2)
    make_user("alice")
    ids = [SignedIn("alice").claims.session_id for _ in range(3)]
    form = {"action": "revoke_selected", "select_across": "1", "_selected_action": [str(ids[0])]}

    assert "Chosen: 2+ sessions." in site.post(SESSIONS, form).content.decode()
    done = site.post(SESSIONS, {**form, "confirmed": "Yes, do it"}, follow=True)

    assert "3 sessions were revoked" in done.content.decode()
