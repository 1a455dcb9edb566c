"""Test sign-ins with `remember: false`: cookies until the browser is closed, and a shorter session."""

import pytest
from django.db import connection

from accounts.models import RefreshToken
from tests.api.test_cookies import Browser
from tests.conftest import Api
from tests.factories import PASSWORD, make_user

COOKIES = ("__Host-access", "__Secure-refresh")
HOUR = 3600


@pytest.fixture
def alice(clock):
    return make_user("alice")


def sign_in(**fields):
    return Api().post("/api/auth/signin", {"username": "alice", "password": PASSWORD, **fields})


def sign_in_with_cookies(**fields):
    browser = Browser()
    body = {"username": "alice", "password": PASSWORD, "useCookies": True, **fields}
    assert browser.send("POST", "/api/auth/signin", body).status_code == 200
    return browser


def assert_last_until_the_browser_is_closed(browser, *names):
    for name in names:
        cookie = browser.cookie(name)
        assert cookie.value
        assert (cookie["max-age"], cookie["expires"]) == ("", "")
        assert cookie["secure"]
        assert cookie["httponly"]


def test_cookies_of_an_unremembered_session_have_no_expiry_at_any_refresh(alice, clock):
    browser = sign_in_with_cookies(remember=False)
    assert_last_until_the_browser_is_closed(browser, *COOKIES)

    for _ in range(3):
        clock.advance(minutes=20)
        assert browser.send("POST", "/api/auth/refreshtoken").status_code == 200
        assert_last_until_the_browser_is_closed(browser, *COOKIES)


def test_a_repeated_refresh_and_a_refresh_without_rotation_set_no_expiry_either(alice, override_auth):
    browser = sign_in_with_cookies(remember=False)
    first = browser.cookie("__Secure-refresh").value
    browser.send("POST", "/api/auth/refreshtoken")
    browser.http.cookies["__Secure-refresh"] = first

    assert browser.send("POST", "/api/auth/refreshtoken").status_code == 200
    assert_last_until_the_browser_is_closed(browser, *COOKIES)

    override_auth(refresh_token_rotation=False)
    assert browser.send("POST", "/api/auth/refreshtoken").status_code == 200
    assert_last_until_the_browser_is_closed(browser, *COOKIES)


def test_a_step_up_of_an_unremembered_session_sets_a_cookie_with_no_expiry(alice):
    browser = sign_in_with_cookies(remember=False)

    assert browser.send("POST", "/api/auth/reauthenticate", {"password": PASSWORD}).status_code == 200

    assert_last_until_the_browser_is_closed(browser, "__Host-access")


@pytest.mark.parametrize("fields", [{}, {"remember": True}, {"remember": None}])
def test_a_session_is_remembered_unless_the_client_asks_otherwise(alice, fields):
    browser = sign_in_with_cookies(**fields)

    assert [browser.cookie(name)["max-age"] for name in COOKIES] == [86400, 86400]
    assert browser.get("/api/auth/sessions").json()[0]["remember"] is True


@pytest.mark.parametrize("value", ["false", 0, "", []])
def test_a_value_of_remember_that_is_no_boolean_is_an_invalid_request(alice, assert_refused, value):
    response = sign_in(remember=value)

    assert_refused(response, 400, "invalid_request")
    assert list(response.json()["errors"]) == ["remember"]
    assert not RefreshToken.objects.exists()


def test_an_unremembered_session_ends_at_its_lifetime_whatever_is_refreshed(
    alice, override_auth, clock, assert_refused
):
    override_auth(unremembered_session_lifetime=2 * HOUR, refresh_token_lifetime=1.5 * HOUR)
    tokens = sign_in(remember=False).json()
    assert tokens["refreshExpiresIn"] == 1.5 * HOUR

    clock.advance(hours=1, minutes=20)
    tokens = Api().refresh(tokens["refreshToken"]).json()
    assert tokens["refreshExpiresIn"] == 40 * 60
    clock.advance(minutes=30)
    tokens = Api().refresh(tokens["refreshToken"]).json()
    assert (tokens["refreshExpiresIn"], tokens["expiresIn"]) == (600, 600)

    clock.advance(minutes=10)
    assert_refused(Api().refresh(tokens["refreshToken"]), 403, "refresh_token_expired")
    assert_refused(Api().get("/api/test/user", tokens["accessToken"]), 401, "token_expired")


def test_by_default_an_unremembered_session_lasts_twelve_hours(alice):
    assert sign_in(remember=False).json()["refreshExpiresIn"] == 12 * HOUR


def test_an_unremembered_session_is_never_longer_than_a_remembered_one(alice, override_auth):
    override_auth(session_lifetime=HOUR, unremembered_session_lifetime=2 * HOUR)

    assert sign_in(remember=False).json()["refreshExpiresIn"] == HOUR


def test_the_list_of_sessions_says_which_are_remembered(alice):
    sign_in()
    token = sign_in(remember=False).json()["accessToken"]

    sessions = Api().get("/api/auth/sessions", token).json()

    assert [(session["current"], session["remember"]) for session in sessions] == [(True, False), (False, True)]


def test_a_session_inserted_by_the_previous_release_is_remembered(alice):
    sign_in(remember=False)
    columns = [
        field.column
        for field in RefreshToken._meta.concrete_fields
        if field.column not in {"remember", "expires_on"}
    ]
    values = ", ".join(columns).replace("uuid", "'01a212d634b376af95c98fd77c375bea'", 1)

    with connection.cursor() as cursor:
        cast = values.replace("bea'", "bea'::uuid") if connection.vendor == "postgresql" else values
        cursor.execute(
            f"INSERT INTO accounts_refreshtoken ({', '.join(columns)}) SELECT {cast} FROM accounts_refreshtoken"
        )

    assert sorted(RefreshToken.objects.values_list("remember", flat=True)) == [False, True]
