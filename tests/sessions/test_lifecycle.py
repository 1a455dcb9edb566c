"""GET /api/auth/sessions and DELETE /api/auth/sessions/{uuid}."""

import datetime as dt
import uuid

import pytest

from accounts.models import Application, EndReason, RefreshToken, SessionKind, User
from api.http import pagination
from tests.conftest import SignedIn
from tests.factories import make_user
from tests.values.test_devices import IPHONE, LINUX

URL = "/api/auth/sessions"


def sessions(signed_in, query=""):
    response = signed_in.get(f"{URL}{query}", signed_in.access_token)
    assert response.status_code == 200, response.content
    return response.json()


def ids(signed_in, query=""):
    return [row["id"] for row in sessions(signed_in, query)]


def id_of(signed_in):
    return str(signed_in.claims.session_id)


def test_the_live_sessions_are_listed_with_device_address_and_times(clock):
    make_user("alice")
    phone = SignedIn("alice", HTTP_USER_AGENT=IPHONE, REMOTE_ADDR="2001:db8::7")
    clock.advance(minutes=5)
    desk = SignedIn("alice", HTTP_USER_AGENT=LINUX, REMOTE_ADDR="192.0.2.7")
    now = dt.datetime.now(dt.UTC)
    iso = lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: E731

    assert sessions(desk) == [
        {
            "id": id_of(desk), "current": True, "device": "Firefox on Linux", "userAgent": LINUX,
            "ipAddress": "192.0.2.7", "createdAt": iso(now), "lastUsedAt": iso(now),
            "expiresAt": iso(now + dt.timedelta(days=1)), "remember": True, "acr": "1",
            "kind": "tokens", "clientId": "first-party", "applicationName": None,
        },
        {
            "id": id_of(phone), "current": False, "device": "Safari on iOS", "userAgent": IPHONE,
            "ipAddress": "2001:db8::7", "createdAt": iso(now - dt.timedelta(minutes=5)),
            "lastUsedAt": iso(now - dt.timedelta(minutes=5)),
            "expiresAt": iso(now + dt.timedelta(days=1, minutes=-5)), "remember": True, "acr": "1",
            "kind": "tokens", "clientId": "first-party", "applicationName": None,
        },
    ]  # fmt: skip


def test_the_list_names_the_application_of_a_session_and_the_sign_ins_of_browsers(signed_in):
    owner = User.objects.get()
    browser, child = SignedIn(owner.username), SignedIn(owner.username)
    shop = Application.objects.create(client_id="shop", name="Shop")
    RefreshToken.objects.filter(pk=browser.claims.session_id).update(kind=SessionKind.BROWSER)
    RefreshToken.objects.filter(pk=child.claims.session_id).update(
        application=shop, parent=browser.claims.session_id
    )

    named = [(row["id"], row["kind"], row["clientId"], row["applicationName"]) for row in sessions(signed_in)]
    assert named == [
        (id_of(child), "tokens", "shop", "Shop"),
        (id_of(browser), "browser", "first-party", None),
        (id_of(signed_in), "tokens", "first-party", None),
    ]

    assert signed_in.delete(f"/api/auth/sessions/{id_of(browser)}", signed_in.access_token).status_code == 204
    assert [row["id"] for row in sessions(signed_in)] == [id_of(signed_in)]
    assert RefreshToken.objects.get(pk=child.claims.session_id).end_reason == EndReason.ENDED_BY_OWNER


def test_a_refresh_updates_the_time_of_last_use(signed_in, clock):
    clock.advance(minutes=5)
    signed_in.refresh(signed_in.refresh_token)

    [row] = sessions(signed_in)
    assert row["lastUsedAt"] > row["createdAt"]


def test_ended_and_expired_sessions_are_not_listed(clock):
    user = make_user("alice")
    ended, expired, outdated, live = (SignedIn("alice") for _ in range(4))
    ended.post("/api/auth/signout", token=ended.access_token)
    RefreshToken.objects.filter(pk=id_of(expired)).update(expires_at=dt.datetime.now(dt.UTC))
    RefreshToken.objects.filter(pk=id_of(outdated)).update(owner_stamp=user.security_stamp + 1)

    assert ids(live) == [id_of(live)]


def test_the_sessions_of_other_users_are_not_listed(signed_in):
    SignedIn(make_user().username)

    assert ids(signed_in) == [id_of(signed_in)]


def test_a_long_list_is_paginated(signed_in, monkeypatch):
    monkeypatch.setattr(pagination, "PAGE_SIZE", 2)
    username = User.objects.get().username
    newest_first = [id_of(signed_in), *(id_of(SignedIn(username)) for _ in range(4))][::-1]
    found, query = [], ""
    while True:
        response = signed_in.get(f"{URL}{query}", signed_in.access_token)
        found += [row["id"] for row in response.json()]
        if "Link" not in response:
            break
        link, _, relation = response["Link"].partition(">; ")
        assert relation == 'rel="next"'
        query = link.removeprefix("<")

    assert found == newest_first


@pytest.mark.parametrize("before", ["x", "1", "%00", "%ED%A0%80", "0" * 99])
def test_an_invalid_page_cursor_is_an_invalid_request(signed_in, assert_refused, before):
    assert_refused(signed_in.get(f"{URL}?before={before}", signed_in.access_token), 400, "invalid_request")


def test_a_user_can_end_any_of_their_own_sessions(assert_refused):
    make_user("alice")
    here, there = SignedIn("alice"), SignedIn("alice")

    assert here.delete(f"{URL}/{id_of(there)}", here.access_token).status_code == 204

    assert_refused(there.content(), 401, "token_revoked")
    assert_refused(there.refresh(there.refresh_token), 403, "refresh_token_revoked")
    assert here.content().status_code == 200
    assert here.delete(f"{URL}/{id_of(there)}", here.access_token).status_code == 204
    assert here.delete(f"{URL}/{id_of(here)}/", here.access_token).status_code == 204
    assert_refused(here.content(), 401, "token_revoked")


def test_a_session_of_another_user_is_not_found_and_stays_live(signed_in, assert_refused):
    other = SignedIn(make_user().username)

    for session_id in (id_of(other), uuid.uuid4(), "x", id_of(signed_in).upper(), f"{id_of(other)}0"):
        assert_refused(signed_in.delete(f"{URL}/{session_id}", signed_in.access_token), 404, "not_found")
    assert other.content().status_code == 200


def test_listing_and_ending_sessions_need_an_access_token(api, signed_in, assert_refused):
    assert_refused(api.get(URL), 401, "token_missing")
    assert_refused(api.delete(f"{URL}/{id_of(signed_in)}"), 401, "token_missing")
