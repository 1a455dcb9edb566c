"""Test AUTH_MAX_SESSIONS: a sign-in beyond the limit ends the oldest sessions of the user."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import Activity, RefreshToken, User
from accounts.sessions import lifecycle
from accounts.users import credentials
from accounts.values.authentication import BY_PASSWORD
from accounts.values.clients import NO_CLIENT
from tests.api.test_cookies import Browser
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_user
from tests.threads import run_concurrently


@pytest.fixture
def alice(clock):
    return make_user("alice")


def live(user=None):
    sessions = RefreshToken.objects.filter(ended_at=None)
    return sessions.filter(owner=user) if user else sessions


def sign_in_later(clock, username="alice"):
    clock.advance(seconds=1)
    return SignedIn(username)


def test_a_sign_in_beyond_the_limit_ends_the_session_that_began_first(alice, clock, override_auth, assert_refused):
    override_auth(max_sessions=2)
    first, second = sign_in_later(clock), sign_in_later(clock)
    first.refresh_token = first.refresh(first.refresh_token).json()["refreshToken"]

    third = sign_in_later(clock)

    assert_refused(first.content(), 401, "token_revoked")
    assert_refused(first.refresh(first.refresh_token), 403, "refresh_token_revoked")
    assert [second.content().status_code, third.content().status_code] == [200, 200]
    assert RefreshToken.objects.exclude(ended_at=None).get().end_reason == "limit_reached"


def test_the_end_is_in_the_log_and_in_the_history_with_its_reason(alice, clock, override_auth, events):
    override_auth(max_sessions=1)
    first = sign_in_later(clock).claims.session_id
    second = sign_in_later(clock)

    [line] = [line for line in events() if line["event"] == "session:ended"]
    assert (line["reason"], line["session_id"], line["user_id"]) == ("limit_reached", str(first), alice.pk)
    [entry] = [entry for entry in second.activity() if entry["event"] == "session:ended"]
    assert (entry["details"], entry["sessionId"]) == ({"reason": "limit_reached"}, str(first))


def test_without_a_limit_all_sessions_stay(alice, clock):
    for _ in range(12):
        sign_in_later(clock)

    assert live().count() == 12


def test_without_a_limit_a_sign_in_costs_no_query_more(alice, override_auth):
    def statements():
        user = credentials.find(alice.pk, NO_CLIENT)  # with roles and factors, as at a sign-in
        with CaptureQueriesContext(connection) as queries:
            lifecycle.start(user, NO_CLIENT, BY_PASSWORD)
        return [query["sql"].split()[0] for query in queries if "accounts_activity" not in query["sql"]]

    assert statements() == ["INSERT"]

    override_auth(max_sessions=5)
    assert len(statements()) > 1


def test_a_lowered_limit_ends_all_sessions_beyond_it_at_the_next_sign_in(alice, clock, override_auth, events):
    for _ in range(5):
        sign_in_later(clock)
    override_auth(max_sessions=2)
    newest = live().order_by("-pk").first()

    last = sign_in_later(clock)

    assert set(live().values_list("pk", flat=True)) == {newest.pk, last.claims.session_id}
    assert [line["reason"] for line in events() if line["event"] == "session:ended"] == ["limit_reached"] * 4


def test_only_live_sessions_of_the_same_user_count(alice, clock, override_auth):
    override_auth(max_sessions=2, refresh_token_lifetime=3600)
    bob = make_user("bob")
    SignedIn("bob")
    sign_in_later(clock)
    clock.advance(hours=2)
    signed_out, kept = sign_in_later(clock), sign_in_later(clock)
    signed_out.post("/api/auth/signout", {"refreshToken": signed_out.refresh_token})

    sign_in_later(clock)

    assert kept.content().status_code == 200
    assert live(bob).count() == 1
    assert not Activity.objects.filter(details__reason="limit_reached").exists()


def test_a_failed_sign_in_ends_no_session(alice, clock, override_auth):
    override_auth(max_sessions=1)
    first = sign_in_later(clock)

    assert first.sign_in("alice", "wrong password").status_code == 401
    body = {"username": "alice", "password": PASSWORD, "audience": "unknown"}
    assert first.post("/api/auth/signin", body).status_code == 400

    assert first.content().status_code == 200


def test_a_new_session_stays_even_if_the_others_began_by_a_clock_that_is_ahead(alice, clock, override_auth):
    override_auth(max_sessions=2)
    clock.advance(hours=1)
    SignedIn("alice"), SignedIn("alice")
    clock.advance(hours=-1)

    new = SignedIn("alice")

    assert new.claims.session_id in live().values_list("pk", flat=True)
    assert live().count() == 2


def test_the_session_that_a_browser_replaces_does_not_count(alice, clock, override_auth):
    override_auth(max_sessions=2)
    browser = Browser()
    browser.sign_in_with_cookies()
    phone = sign_in_later(clock)
    clock.advance(seconds=1)

    assert browser.sign_in_with_cookies().status_code == 200

    assert phone.content().status_code == 200
    assert RefreshToken.objects.exclude(ended_at=None).get().end_reason == "signed_out"


def test_a_cookie_sign_in_with_an_unknown_audience_ends_no_session(alice):
    browser = Browser()
    browser.sign_in_with_cookies()
    body = {"username": "alice", "password": PASSWORD, "useCookies": True, "audience": "unknown"}

    assert browser.send("POST", "/api/auth/signin", body).status_code == 400

    assert live().count() == 1


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("surrounding", [False, True], ids=["no transaction", "a transaction of the project"])
def test_simultaneous_sign_ins_leave_exactly_the_limit(override_auth, events, surrounding):
    override_auth(max_sessions=3)
    user = make_user("alice")

    def sign_in():
        if not surrounding:
            return lifecycle.start(user, NO_CLIENT, BY_PASSWORD)
        with transaction.atomic():
            return lifecycle.start(user, NO_CLIENT, BY_PASSWORD)

    for _ in range(3):
        run_concurrently(*[sign_in] * 12)
        assert live(user).count() == 3

    ended = [line["session_id"] for line in events() if line["event"] == "session:ended"]
    assert len(ended) == len(set(ended)) == 33


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_user_who_is_deleted_during_a_limited_sign_in_gets_no_session(
    override_auth, assert_refused, monkeypatch
):
    override_auth(max_sessions=3)
    make_user("alice")
    live_sessions = lifecycle.live_sessions

    def delete_before(user):
        User.objects.all().delete()
        return live_sessions(user)

    monkeypatch.setattr(lifecycle, "live_sessions", delete_before)
    assert_refused(Api().sign_in("alice"), 401, "invalid_credentials")
    assert not RefreshToken.objects.exists()
