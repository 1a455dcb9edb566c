"""Test tokens in cookies, and the CSRF check of requests that use them."""

import json

import pytest
from django.test import Client

from accounts.models import RefreshToken
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_user

FOREIGN_ORIGIN = "https://evil.example"
FRONT_END = "http://localhost:8081"


class Browser(Api):
    """A browser on a page of the API's own origin.

    It stores cookies. Like the page's scripts, `send` adds `Origin` and `X-CSRFToken`; it omits headers set to None.
    """

    origin = "http://testserver"

    def __init__(self, **headers):
        super().__init__(**headers)
        self.http = Client(enforce_csrf_checks=True, **headers)

    def send(self, method, path, body=None, *, with_csrf_token=True, **headers):
        headers = {"Origin": self.origin, **headers}
        if with_csrf_token and "csrftoken" in self.http.cookies:
            headers = {"X-CSRFToken": self.http.cookies["csrftoken"].value, **headers}
        headers = {name: value for name, value in headers.items() if value is not None}
        return self.http.generic(method, path, json.dumps(body or {}), "application/json", headers=headers)

    def sign_in_with_cookies(self, username="alice", **headers):
        body = {"username": username, "password": PASSWORD, "useCookies": True}
        return self.send("POST", "/api/auth/signin", body, **headers)

    def cookie(self, name):
        return self.http.cookies[name]


@pytest.fixture
def browser(clock):
    make_user("alice")
    return Browser()


@pytest.fixture
def signed_in_browser(browser):
    response = browser.sign_in_with_cookies()
    assert response.status_code == 200, response.content
    return browser


def test_the_tokens_are_in_cookies_and_not_in_the_body(browser):
    response = browser.sign_in_with_cookies()

    body = response.json()
    assert set(body) == {
        "id", "username", "email", "fullname", "roles", "tokenType", "expiresIn", "refreshExpiresIn",
    }  # fmt: skip
    assert browser.cookie("__Host-access").value not in response.content.decode()
    assert response["Cache-Control"] == "no-store"


def test_the_cookies_have_the_attributes_of_the_contract(signed_in_browser):
    access, refresh = signed_in_browser.cookie("__Host-access"), signed_in_browser.cookie("__Secure-refresh")

    for cookie in (access, refresh):
        assert cookie["httponly"]
        assert cookie["secure"]
        assert cookie["samesite"] == "Lax"
        assert cookie["domain"] == ""
        assert cookie["max-age"] == 86400
    assert (access["path"], refresh["path"]) == ("/", "/api/auth")
    assert not signed_in_browser.cookie("csrftoken")["httponly"]


def test_a_cookie_domain_shares_both_token_cookies_with_its_subdomains(browser, override_auth):
    override_auth(cookie_domain="example.com")
    browser.sign_in_with_cookies()

    for name, path in (("__Secure-access", "/"), ("__Secure-refresh", "/api/auth")):
        cookie = browser.cookie(name)
        assert (cookie["domain"], cookie["path"], cookie["secure"], cookie["httponly"]) == (
            "example.com", path, True, True,
        )  # fmt: skip
    assert browser.get("/api/test/user").status_code == 200


def test_a_sign_in_that_requests_no_cookies_sets_none(browser):
    for use_cookies in (False, None):
        response = browser.post(
            "/api/auth/signin", {"username": "alice", "password": PASSWORD, "useCookies": use_cookies}
        )
        assert response.json()["accessToken"]
    assert not browser.http.cookies


def test_an_invalid_use_cookies_value_is_an_invalid_request(browser, assert_refused):
    response = browser.post(
        "/api/auth/signin", {"username": "alice", "password": PASSWORD, "useCookies": "perhaps"}
    )

    assert_refused(response, 400, "invalid_request")
    assert list(response.json()["errors"]) == ["useCookies"]


@pytest.mark.parametrize(
    "headers",
    [{"Origin": FOREIGN_ORIGIN}, {"Origin": "null"}, {"Origin": ""}, {"Origin": "http://testserver.evil.example"},
     {"Origin": "https://testserver"}, {"Origin": "http://testserver:81"},
     {"Origin": None, "Sec-Fetch-Site": "cross-site"}, {"Origin": None, "Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
def test_a_cookie_sign_in_from_a_foreign_origin_is_refused(browser, headers, assert_refused):
    assert_refused(browser.sign_in_with_cookies(**headers), 403, "csrf_failed")

    assert not browser.http.cookies
    assert not RefreshToken.objects.exists()


@pytest.mark.parametrize(
    "headers", [{"Origin": FRONT_END}, {"Origin": None}, {"Origin": None, "Sec-Fetch-Site": "same-origin"}]
)
def test_a_cookie_sign_in_from_an_allowed_origin_succeeds(browser, headers):
    assert browser.sign_in_with_cookies(**headers).status_code == 200


@pytest.mark.parametrize(
    ("public_url", "origin"),
    [
        ("https://Auth.Example.com", "https://auth.example.com"),
        ("https://auth.example.com:443", "https://auth.example.com"),
        ("http://auth.example.com:80/path", "http://auth.example.com"),
        ("https://auth.example.com:8443", "https://auth.example.com:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://[2001:DB8::1]:443", "https://[2001:db8::1]"),
    ],
)
def test_the_public_url_is_an_allowed_origin_however_it_is_spelled(browser, override_auth, public_url, origin):
    override_auth(public_url=public_url)

    assert browser.sign_in_with_cookies(Origin=origin).status_code == 200


def test_a_request_that_only_reads_needs_no_csrf_token(signed_in_browser):
    assert signed_in_browser.get("/api/test/user").status_code == 200
    assert signed_in_browser.get("/api/auth/me", Origin=FOREIGN_ORIGIN).status_code == 200


CHANGES = [
    ("POST", "/api/auth/signout-all", {}),
    ("PATCH", "/api/auth/me", {"fullname": "Mallory"}),
    ("DELETE", "/api/auth/me", {}),
    ("POST", "/api/auth/reauthenticate", {"password": PASSWORD}),
    ("POST", "/api/auth/password/change", {"currentPassword": PASSWORD, "newPassword": "another good one"}),
    ("POST", "/api/auth/refreshtoken", {}),
    ("POST", "/api/auth/signout", {}),
]
SUCCESS = {200, 204}


@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=[f"{row[0]} {row[1]}" for row in CHANGES])
@pytest.mark.parametrize(
    "headers",
    [{"X-CSRFToken": None}, {"X-CSRFToken": ""}, {"X-CSRFToken": "x" * 32}, {"Origin": FOREIGN_ORIGIN},
     {"Origin": "null"}, {"Origin": None, "Sec-Fetch-Site": "cross-site"},
     {"Origin": None, "Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
def test_a_change_that_fails_the_csrf_check_is_refused(
    signed_in_browser, assert_refused, method, path, body, headers
):
    response = signed_in_browser.send(method, path, body, **headers)

    assert_refused(response, 403, "csrf_failed")
    assert signed_in_browser.get("/api/auth/me").json()["fullname"] == ""


@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=[f"{row[0]} {row[1]}" for row in CHANGES])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": FRONT_END}, {"Origin": None, "Sec-Fetch-Site": "same-origin"}, {"Origin": None}],
)
def test_a_change_that_passes_the_csrf_check_succeeds(signed_in_browser, method, path, body, headers):
    assert signed_in_browser.send(method, path, body, **headers).status_code in SUCCESS


def test_a_csrf_header_without_the_csrf_cookie_is_refused(signed_in_browser, assert_refused):
    del signed_in_browser.http.cookies["csrftoken"], signed_in_browser.http.cookies["__Host-csrftoken"]

    for value in ("", "x" * 32):
        response = signed_in_browser.send("POST", "/api/auth/signout-all", **{"X-CSRFToken": value})
        assert_refused(response, 403, "csrf_failed")


def test_an_empty_csrf_cookie_with_an_empty_header_is_refused(signed_in_browser, assert_refused):
    signed_in_browser.http.cookies["csrftoken"] = signed_in_browser.http.cookies["__Host-csrftoken"] = ""
    response = signed_in_browser.send("POST", "/api/auth/signout-all", **{"X-CSRFToken": ""})

    assert_refused(response, 403, "csrf_failed")


def test_an_access_token_in_a_header_needs_no_csrf_token(browser, signed_in_browser):
    token = signed_in_browser.cookie("__Host-access").value

    response = signed_in_browser.send(
        "PATCH",
        "/api/auth/me",
        {"fullname": "A"},
        with_csrf_token=False,
        Authorization=f"Bearer {token}",
        Origin=FOREIGN_ORIGIN,
    )

    assert response.status_code == 200


def test_a_header_and_a_cookie_with_different_tokens_are_refused(signed_in_browser, assert_refused):
    other = SignedIn("alice")

    assert_refused(signed_in_browser.get("/api/test/user", other.access_token), 400, "invalid_request")


def test_of_several_csrf_cookies_any_is_accepted(signed_in_browser, assert_refused):
    """A site on the same parent domain can set a `csrftoken` for the whole domain."""
    stored = {key: morsel.value for key, morsel in signed_in_browser.http.cookies.items()}
    own = "; ".join(f"{key}={value}" for key, value in stored.items())
    signed_in_browser.http.cookies.clear()

    def change(cookies, token):
        return signed_in_browser.send("PATCH", "/api/auth/me", **{"Cookie": cookies, "X-CSRFToken": token})

    for theirs in ("csrftoken=theirs", "__Host-csrftoken=theirs", "__Secure-csrftoken=theirs"):
        for cookies in (f"{theirs}; {own}", f"{own}; {theirs}"):
            for token in ("theirs", stored["csrftoken"], stored["__Host-csrftoken"]):
                assert change(cookies, token).status_code == 200
            for token in ("", "neither", f"theirs{stored['csrftoken']}", stored["__Secure-refresh"]):
                assert_refused(change(cookies, token), 403, "csrf_failed")


def test_the_csrf_cookie_of_the_service_has_a_prefix_and_is_readable_by_scripts(signed_in_browser, override_auth):
    own = signed_in_browser.cookie("__Host-csrftoken")
    assert (own["domain"], own["path"], own["secure"], own["samesite"]) == ("", "/", True, "Lax")
    assert not own["httponly"]
    assert own["max-age"] == signed_in_browser.cookie("csrftoken")["max-age"]

    override_auth(cookie_domain="example.com")
    signed_in_browser.sign_in_with_cookies()
    shared = signed_in_browser.cookie("__Secure-csrftoken")
    assert (shared["domain"], shared["path"], shared["secure"]) == ("example.com", "/", True)


def test_a_refresh_keeps_the_csrf_cookie_of_the_service_and_sets_one_that_is_missing(signed_in_browser):
    own = signed_in_browser.cookie("__Host-csrftoken").value
    signed_in_browser.send("POST", "/api/auth/refreshtoken")
    assert signed_in_browser.cookie("__Host-csrftoken").value == own

    del signed_in_browser.http.cookies["__Host-csrftoken"]  # a session from before this cookie existed
    assert signed_in_browser.send("POST", "/api/auth/refreshtoken").status_code == 200
    assert signed_in_browser.cookie("__Host-csrftoken").value not in {"", own}


def test_a_sign_in_replaces_the_csrf_cookie_of_the_service(signed_in_browser):
    before = signed_in_browser.cookie("__Host-csrftoken").value
    signed_in_browser.sign_in_with_cookies()

    assert signed_in_browser.cookie("__Host-csrftoken").value != before


@pytest.mark.parametrize("name", ["__Host-access", "__Secure-refresh"])
def test_two_different_token_cookies_of_the_same_name_are_refused(signed_in_browser, assert_refused, name):
    """A site on the same parent domain can set a second cookie of the same name."""
    cookies = "; ".join(f"{key}={morsel.value}" for key, morsel in signed_in_browser.http.cookies.items())
    csrf = signed_in_browser.cookie("csrftoken").value
    signed_in_browser.http.cookies.clear()

    response = signed_in_browser.send(
        "POST", "/api/auth/refreshtoken", Cookie=f"{cookies}; {name}=other", **{"X-CSRFToken": csrf}
    )
    if name == "__Host-access":
        assert response.status_code == 200  # a refresh ignores access tokens
        response = signed_in_browser.get("/api/test/user", Cookie=f"{cookies}; {name}=other")

    assert_refused(response, 400, "invalid_request")


def test_a_host_cookie_is_ignored_once_a_cookie_domain_is_set(signed_in_browser, override_auth, assert_refused):
    override_auth(cookie_domain="example.com")

    assert_refused(signed_in_browser.get("/api/test/user"), 401, "token_missing")


def test_a_refresh_by_cookie_replaces_both_token_cookies(signed_in_browser, clock):
    before = {name: signed_in_browser.cookie(name).value for name in ("__Host-access", "__Secure-refresh")}
    clock.advance(minutes=16)
    assert signed_in_browser.get("/api/test/user").json()["code"] == "token_expired"

    response = signed_in_browser.send("POST", "/api/auth/refreshtoken")

    assert response.json() == {"tokenType": "Bearer", "expiresIn": 900, "refreshExpiresIn": 86400}
    for name, value in before.items():
        assert signed_in_browser.cookie(name).value != value
    assert signed_in_browser.get("/api/test/user").status_code == 200


def test_a_refresh_by_cookie_needs_no_body(signed_in_browser):
    token = signed_in_browser.cookie("csrftoken").value
    response = signed_in_browser.http.post("/api/auth/refreshtoken", headers={"X-CSRFToken": token})

    assert response.status_code in (200, 415)
    assert signed_in_browser.http.generic(
        "POST", "/api/auth/refreshtoken", headers={"X-CSRFToken": token}
    ).status_code == 200  # fmt: skip


def test_a_refresh_by_body_returns_the_new_token_in_the_body(signed_in_browser):
    other = SignedIn("alice")
    before = signed_in_browser.cookie("__Secure-refresh").value

    response = signed_in_browser.send(
        "POST",
        "/api/auth/refreshtoken",
        {"refreshToken": other.refresh_token},
        with_csrf_token=False,
        Origin=FOREIGN_ORIGIN,
    )

    assert response.json()["refreshToken"]
    assert signed_in_browser.cookie("__Secure-refresh").value == before


def test_a_refused_refresh_by_cookie_clears_the_cookies(signed_in_browser, assert_refused):
    RefreshToken.objects.get().delete()

    assert_refused(signed_in_browser.send("POST", "/api/auth/refreshtoken"), 403, "refresh_token_unknown")

    assert_cookies_cleared(signed_in_browser)


def test_a_refresh_without_a_cookie_or_a_token_is_refused(browser, assert_refused):
    assert_refused(browser.send("POST", "/api/auth/refreshtoken"), 403, "refresh_token_missing")


@pytest.mark.parametrize("path", ["/api/auth/signout", "/api/auth/signout-all"])
def test_signing_out_ends_the_session_and_clears_the_cookies(signed_in_browser, path):
    assert signed_in_browser.send("POST", path).status_code == 204

    assert RefreshToken.objects.get().ended_at
    assert_cookies_cleared(signed_in_browser)


def test_deleting_the_account_clears_the_cookies(signed_in_browser):
    assert signed_in_browser.send("DELETE", "/api/auth/me").status_code == 204

    assert_cookies_cleared(signed_in_browser)


def test_an_access_cookie_alone_is_enough_to_sign_out(signed_in_browser):
    del signed_in_browser.http.cookies["__Secure-refresh"]

    assert signed_in_browser.send("POST", "/api/auth/signout").status_code == 204
    assert RefreshToken.objects.get().ended_at


def test_a_sign_out_prefers_a_token_in_a_header_to_a_cookie(signed_in_browser):
    other = SignedIn("alice")
    del signed_in_browser.http.cookies["__Host-access"]

    response = signed_in_browser.send("POST", "/api/auth/signout", Authorization=f"Bearer {other.access_token}")

    assert response.status_code == 204
    assert RefreshToken.objects.get(ended_at__isnull=False).pk == other.claims.session_id


def test_cookies_set_for_a_domain_are_cleared_for_that_domain(browser, override_auth):
    override_auth(cookie_domain="example.com")
    browser.sign_in_with_cookies()
    browser.send("POST", "/api/auth/signout")

    for name in ("__Secure-access", "__Secure-refresh"):
        assert browser.cookie(name)["domain"] == "example.com"
        assert browser.cookie(name).value == ""
        assert browser.cookie(name)["secure"]


def test_a_step_up_sets_the_access_cookie(signed_in_browser, clock):
    clock.advance(minutes=10)
    before = signed_in_browser.cookie("__Host-access").value

    response = signed_in_browser.send("POST", "/api/auth/reauthenticate", {"password": PASSWORD})

    assert response.json() == {"tokenType": "Bearer", "expiresIn": 900}
    assert signed_in_browser.cookie("__Host-access").value != before
    assert signed_in_browser.send("DELETE", "/api/auth/me").status_code == 204


def test_a_sign_in_issues_a_new_csrf_token(signed_in_browser):
    before = signed_in_browser.cookie("csrftoken").value
    signed_in_browser.sign_in_with_cookies()

    assert signed_in_browser.cookie("csrftoken").value != before


def test_a_page_of_an_allowed_origin_may_send_cookies(api):
    response = api.get("/api/test/all", Origin=FRONT_END)

    assert response["Access-Control-Allow-Credentials"] == "true"
    assert response["Access-Control-Allow-Origin"] == FRONT_END


def test_the_public_url_is_an_allowed_origin(browser, override_auth):
    override_auth(public_url="https://auth.example.com/base")

    assert browser.sign_in_with_cookies(Origin="https://auth.example.com").status_code == 200


@pytest.mark.parametrize("origin", ["://", "", "http://"])
def test_without_a_public_url_an_origin_without_a_host_is_refused(browser, origin, assert_refused):
    assert_refused(browser.sign_in_with_cookies(Origin=origin), 403, "csrf_failed")


def assert_cookies_cleared(browser):
    for name in ("__Host-access", "__Secure-refresh"):
        cookie = browser.cookie(name)
        assert (cookie.value, cookie["max-age"], cookie["secure"]) == ("", 0, True)
    assert browser.cookie("__Host-access")["path"] == "/"
    assert browser.cookie("__Secure-refresh")["path"] == "/api/auth"


def test_a_cookie_sign_in_ends_the_previous_session_of_the_browser(signed_in_browser):
    previous = signed_in_browser.cookie("__Secure-refresh").value

    assert signed_in_browser.sign_in_with_cookies().status_code == 200

    assert RefreshToken.objects.exclude(ended_at=None).get().end_reason == "signed_out"
    assert Api().refresh(previous).status_code == 403
    assert signed_in_browser.send("POST", "/api/auth/refreshtoken").status_code == 200


def test_a_failed_sign_in_ends_no_session(signed_in_browser):
    body = {"username": "alice", "password": "wrong password", "useCookies": True}

    assert signed_in_browser.send("POST", "/api/auth/signin", body).status_code == 401

    assert signed_in_browser.send("POST", "/api/auth/refreshtoken").status_code == 200
