"""GET /api/auth/activity: the user's security history, and the emails that notify the owner."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.history import background, events
from accounts.models import Activity, User
from accounts.users import passwords
from accounts.values.clients import NO_CLIENT
from api.http import pagination
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_administrator, make_user
from tests.values.test_devices import IPHONE, LINUX

URL = "/api/auth/activity"


def event_names(signed_in):
    return [entry["event"] for entry in signed_in.activity()]


def test_an_entry_has_event_time_session_address_and_device(clock):
    make_user("alice")
    desk = SignedIn("alice", HTTP_USER_AGENT=LINUX, REMOTE_ADDR="192.0.2.7")
    [entry] = desk.activity()

    assert entry.pop("createdAt").endswith("Z")
    assert entry.pop("id")
    assert entry == {
        "event": "sign_in:succeeded", "description": "Signed in", "sessionId": str(desk.claims.session_id),
        "ipAddress": "192.0.2.7", "device": "Firefox on Linux", "userAgent": LINUX, "byAdministrator": False,
        "details": {},
    }  # fmt: skip


def test_the_history_lists_every_event_newest_first(api, clock, mailed_token):
    api.sign_up("alice")
    token = mailed_token()
    api.post("/api/auth/email/verify", {"token": token})
    api.sign_in("alice", "wrong password")
    alice, other = SignedIn("alice"), SignedIn("alice")
    spent = other.refresh(other.refresh_token).json()["refreshToken"]
    other.refresh(spent)
    clock.advance(minutes=1)
    other.refresh(other.refresh_token)
    alice.post("/api/auth/reauthenticate", {"password": PASSWORD}, alice.access_token)
    alice.patch("/api/auth/me", {"username": "alicia", "email": "alicia@example.com"}, alice.access_token)
    change = {"currentPassword": PASSWORD, "newPassword": "another good one"}
    alice.post("/api/auth/password/change", change, alice.access_token)
    call_command("grantrole", "alicia", "moderator", stdout=None)
    alice.access_token = alice.refresh(alice.refresh_token).json()["accessToken"]
    third = Api().sign_in("alicia", "another good one").json()
    api.post("/api/auth/signout", {"refreshToken": third["refreshToken"]})
    api.post("/api/auth/password/reset", {"email": "alicia@example.com"})

    assert [(entry["event"], entry["details"]) for entry in alice.activity()] == [
        ("password:reset_asked", {}),
        ("session:ended", {"reason": "signed_out"}),
        ("sign_in:succeeded", {}),
        ("roles:changed", {"granted": ["moderator"], "taken": []}),
        ("password:changed", {}),
        ("session:all_ended", {"reason": "password_changed", "count": 0}),
        ("email:changed", {}),
        ("profile:changed", {"names": ["username"]}),
        ("reauthentication:succeeded", {}),
        ("session:ended", {"reason": "reused"}),
        ("session:reuse_detected", {"presented_generation": 0, "current_generation": 2}),
        ("sign_in:succeeded", {}),
        ("sign_in:succeeded", {}),
        ("sign_in:failed", {}),
        ("email:verified", {}),
        ("user:registered", {"roles": ["user"]}),
    ]


def test_refreshes_add_no_entries(signed_in):
    token = signed_in.refresh_token
    for _ in range(5):
        token = signed_in.refresh(token).json()["refreshToken"]

    assert event_names(signed_in) == ["sign_in:succeeded"]


def test_the_history_excludes_entries_of_other_users(signed_in):
    SignedIn(make_user().username)

    assert len(signed_in.activity()) == 1


def test_an_administrator_s_action_is_listed_without_address_and_device(signed_in, client):
    user = User.objects.get()
    client.force_login(make_administrator())
    client.post(f"/admin/accounts/user/{user.pk}/revoke/", {"confirmed": "yes"}, REMOTE_ADDR="203.0.113.9")
    signed_in = SignedIn(user.username)

    entry = next(entry for entry in signed_in.activity() if entry["event"] == "session:all_ended")

    assert (entry["byAdministrator"], entry["ipAddress"], entry["device"], entry["userAgent"]) == (
        True,
        None,
        "",
        "",
    )
    assert Activity.objects.get(event="session:all_ended").address == "203.0.113.9"


def test_entries_that_strangers_cause_are_limited_per_day(override_auth, signed_in):
    override_auth(account_limit=None, address_limit=None)
    username = User.objects.get().username
    for _ in range(events.MAX_HISTORY_ENTRIES_PER_DAY + 5):
        Api(REMOTE_ADDR="198.51.100.9").sign_in(username, "wrong password")

    assert event_names(signed_in).count("sign_in:failed") == events.MAX_HISTORY_ENTRIES_PER_DAY


def test_entries_that_the_user_causes_are_limited_per_day(signed_in):
    for number in range(events.MAX_HISTORY_ENTRIES_PER_DAY + 5):
        signed_in.patch("/api/auth/me", {"fullname": f"Name {number}"}, signed_in.access_token)

    assert event_names(signed_in).count("profile:changed") == events.MAX_HISTORY_ENTRIES_PER_DAY


def test_the_limit_on_entries_is_reset_after_a_day(override_auth, clock, monkeypatch):
    monkeypatch.setattr(events, "MAX_HISTORY_ENTRIES_PER_DAY", 2)
    make_user("alice")
    for _ in range(2):
        for _ in range(3):
            Api().sign_in("alice", "wrong password")
        clock.advance(days=1)

    assert Activity.objects.filter(event="sign_in:failed").count() == 4


def test_a_failed_sign_in_with_an_unknown_username_is_not_stored(api):
    api.sign_in("nobody", "wrong password")

    assert not Activity.objects.exists()


def test_failed_sign_ins_are_stored_after_the_response(api, monkeypatch, django_assert_num_queries):
    """Response times do not reveal whether a username exists."""
    make_user("alice")
    jobs = []
    monkeypatch.setattr(
        background.BackgroundQueue,
        "after_commit",
        lambda self, job, *arguments, **options: jobs.append((job, options)),
    )
    for name in ("alice", "nobody"):
        with django_assert_num_queries(3):  # the counter, the user, and the costs of imported hashes
            api.sign_in(name, "wrong password")

    # The jobs do the same work for both usernames, because a job in the background slows down the next response.
    statements = []
    for job, options in jobs:
        with CaptureQueriesContext(connection) as queries:
            job(**options)
        statements.append([query["sql"].split()[0] for query in queries if "SAVEPOINT" not in query["sql"]])
    assert statements == [["SELECT", "INSERT"]] * 2
    assert Activity.objects.get().event == "sign_in:failed"


def test_entries_older_than_the_configured_lifetime_are_deleted(signed_in, clock, override_auth):
    override_auth(activity_lifetime=86400 * 3)
    username = User.objects.get().username
    clock.advance(days=2)
    SignedIn(username)
    clock.advance(days=1)
    call_command("purge_expired_tokens", stdout=None)

    assert Activity.objects.count() == 1


def test_a_long_history_is_paginated(signed_in, monkeypatch):
    monkeypatch.setattr(pagination, "PAGE_SIZE", 2)
    for number in range(4):
        signed_in.patch("/api/auth/me", {"fullname": f"Name {number}"}, signed_in.access_token)
    first = signed_in.get(URL, signed_in.access_token)
    second = signed_in.get(f"{URL}{first['Link'].partition('>')[0][1:]}", signed_in.access_token)
    third = signed_in.get(f"{URL}{second['Link'].partition('>')[0][1:]}", signed_in.access_token)

    ids = [entry["id"] for page in (first, second, third) for entry in page.json()]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 5
    assert "Link" not in third


@pytest.mark.parametrize("before", ["x", "0", "-1", "1.5", "9" * 30, "%00", "1e3", "١"])
def test_an_invalid_before_parameter_is_refused_or_returns_an_empty_page(signed_in, before):
    response = signed_in.get(f"{URL}?before={before}", signed_in.access_token)

    assert (response.status_code, response.content) == (200, b"[]") or response.json()["code"] == "invalid_request"


def test_the_history_requires_an_access_token(api, assert_refused):
    assert_refused(api.get(URL), 401, "token_missing")


class TestNotifications:
    """Emails that notify the owner of an account."""

    def subjects(self, mailoutbox):
        return [mail.subject for mail in mailoutbox]

    def test_the_owner_is_notified_of_a_reused_refresh_token(self, signed_in, clock, mailoutbox):
        signed_in.refresh(signed_in.refresh_token)
        clock.advance(minutes=1)
        for _ in range(3):
            signed_in.refresh(signed_in.refresh_token)

        assert self.subjects(mailoutbox) == ["We signed you out on one device for your security"]
        assert mailoutbox[0].to == [User.objects.get().email]

    def test_the_owner_is_notified_of_a_sign_in_from_a_new_device(self, clock, mailoutbox):
        make_user("alice")
        SignedIn("alice", HTTP_USER_AGENT=LINUX)
        SignedIn("alice", HTTP_USER_AGENT=LINUX)
        assert mailoutbox == []

        phone = SignedIn("alice", HTTP_USER_AGENT=IPHONE, REMOTE_ADDR="198.51.100.9")
        SignedIn("alice", HTTP_USER_AGENT=IPHONE, REMOTE_ADDR="198.51.100.10")

        assert self.subjects(mailoutbox) == ["New sign-in from an unknown device"]
        assert "Device: Safari on iOS" in mailoutbox[0].body
        assert "IP address: 198.51.100.9" in mailoutbox[0].body
        assert event_names(phone).count("sign_in:new_device") == 1

    def test_the_owner_is_notified_of_a_known_device_in_another_network(self, clock, mailoutbox):
        make_user("alice")
        SignedIn("alice", HTTP_USER_AGENT=LINUX, REMOTE_ADDR="192.0.2.1")
        SignedIn("alice", HTTP_USER_AGENT=LINUX, REMOTE_ADDR="198.51.100.9")

        assert self.subjects(mailoutbox) == ["New sign-in from an unknown device"]

    def test_the_owner_is_not_notified_of_the_device_that_signed_up(self, api, clock, mailoutbox):
        api.sign_up("alice")
        SignedIn("alice")

        assert self.subjects(mailoutbox) == ["Verify your email address"]

    def test_the_owner_is_not_notified_of_a_failed_sign_in(self, api, clock, mailoutbox):
        make_user("alice")
        SignedIn("alice")
        Api(HTTP_USER_AGENT=IPHONE).sign_in("alice", "wrong password")

        assert mailoutbox == []

    def test_the_owner_is_notified_of_changed_roles(self, mailoutbox):
        make_user("alice")
        call_command("grantrole", "alice", "moderator", "admin", stdout=None)
        call_command("revokerole", "alice", "admin", stdout=None)

        assert self.subjects(mailoutbox) == ["Your roles were changed"] * 2
        assert "Added: admin, moderator" in mailoutbox[0].body
        assert "Removed: admin" in mailoutbox[1].body

    def test_the_owner_is_notified_if_an_administrator_changes_the_password(self, mailoutbox):
        passwords.set_password(make_user("alice"), "another good one", NO_CLIENT, by=make_administrator().pk)

        assert "An administrator changed the password" in mailoutbox[0].body

    def test_notifications_are_limited_per_day(self, clock, mailoutbox):
        make_user("alice")
        for number in range(events.MAX_MAILS_PER_DAY + 5):
            SignedIn("alice", REMOTE_ADDR=f"198.{number}.100.9")

        assert len(mailoutbox) == events.MAX_MAILS_PER_DAY
