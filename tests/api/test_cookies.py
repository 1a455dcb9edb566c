"""Tokens in cookies, and the CSRF check of what rides on them."""

import json

import pytest
from django.test import Client

from accounts.models import RefreshToken
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_user

FOREIGN = "https://evil.example"
FRONT_END = "http://localhost:8081"


class Browser(Api):
    """A browser at a page of the API's own origin: it keeps cookies, and sends `Origin` with what changes something."""

    origin = "http://testserver"

    def __init__(self, **headers):
        super().__init__(**headers)
        self.http = Client(enforce_csrf_checks=True, **headers)

    def send(self, method, path, body=None, *, proof=True, **headers):
        headers = {"Origin": self.origin, **headers}
        if proof and "csrftoken" in self.http.cookies:
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
    answer = browser.sign_in_with_cookies()
    assert answer.status_code == 200, answer.content
    return browser


def test_the_tokens_are_in_cookies_and_not_in_the_body(browser):
    answer = browser.sign_in_with_cookies()

    body = answer.json()
    assert set(body) == {
        "id", "username", "email", "fullname", "roles", "tokenType", "expiresIn", "refreshExpiresIn",
    }  # fmt: skip
    assert browser.cookie("__Host-access").value not in answer.content.decode()
    assert answer["Cache-Control"] == "no-store"


def test_the_cookies_are_as_narrow_as_the_contract_says(signed_in_browser):
    access, refresh = signed_in_browser.cookie("__Host-access"), signed_in_browser.cookie("__Secure-refresh")

    for cookie in (access, refresh):
        assert cookie["httponly"]
        assert cookie["secure"]
        assert cookie["samesite"] == "Lax"
        assert cookie["domain"] == ""
        assert cookie["max-age"] == 86400
    assert (access["path"], refresh["path"]) == ("/", "/api/auth")
    assert not signed_in_browser.cookie("csrftoken")["httponly"]


def test_with_a_cookie_domain_both_are_shared_with_the_sister_sites(browser, auth):
    auth(cookie_domain="example.com")
    browser.sign_in_with_cookies()

    for name, path in (("__Secure-access", "/"), ("__Secure-refresh", "/api/auth")):
        cookie = browser.cookie(name)
        assert (cookie["domain"], cookie["path"], cookie["secure"], cookie["httponly"]) == (
            "example.com", path, True, True,
        )  # fmt: skip
    assert browser.get("/api/test/user").status_code == 200


def test_a_sign_in_without_cookies_sets_none(browser):
    for wanted in (False, None):
        answer = browser.post(
            "/api/auth/signin", {"username": "alice", "password": PASSWORD, "useCookies": wanted}
        )
        assert answer.json()["accessToken"]
    assert not browser.http.cookies


def test_a_wish_that_is_none_is_an_invalid_request(browser, assert_refused):
    answer = browser.post("/api/auth/signin", {"username": "alice", "password": PASSWORD, "useCookies": "perhaps"})

    assert_refused(answer, 400, "invalid_request")
    assert list(answer.json()["errors"]) == ["useCookies"]


@pytest.mark.parametrize(
    "headers",
    [{"Origin": FOREIGN}, {"Origin": "null"}, {"Origin": ""}, {"Origin": "http://testserver.evil.example"},
     {"Origin": "https://testserver"}, {"Origin": "http://testserver:81"},
     {"Origin": None, "Sec-Fetch-Site": "cross-site"}, {"Origin": None, "Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
def test_a_sign_in_from_a_foreign_origin_sets_no_cookie(browser, headers, assert_refused):
    assert_refused(browser.sign_in_with_cookies(**headers), 403, "csrf_failed")

    assert not browser.http.cookies
    assert not RefreshToken.objects.exists()


@pytest.mark.parametrize(
    "headers", [{"Origin": FRONT_END}, {"Origin": None}, {"Origin": None, "Sec-Fetch-Site": "same-origin"}]
)
def test_a_sign_in_from_an_allowed_origin_does(browser, headers):
    assert browser.sign_in_with_cookies(**headers).status_code == 200


def test_what_only_reads_needs_no_proof(signed_in_browser):
    assert signed_in_browser.get("/api/test/user").status_code == 200
    assert signed_in_browser.get("/api/auth/me", Origin=FOREIGN).status_code == 200


CHANGES = [
    ("POST", "/api/auth/signout-all", {}),
    ("PATCH", "/api/auth/me", {"fullname": "Mallory"}),
    ("DELETE", "/api/auth/me", {}),
    ("POST", "/api/auth/reauthenticate", {"password": PASSWORD}),
    ("POST", "/api/auth/password/change", {"currentPassword": PASSWORD, "newPassword": "another good one"}),
    ("POST", "/api/auth/refreshtoken", {}),
    ("POST", "/api/auth/signout", {}),
]
DONE = {200, 204}


@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=[f"{row[0]} {row[1]}" for row in CHANGES])
@pytest.mark.parametrize(
    "lacking",
    [{"X-CSRFToken": None}, {"X-CSRFToken": ""}, {"X-CSRFToken": "x" * 32}, {"Origin": FOREIGN}, {"Origin": "null"},
     {"Origin": None, "Sec-Fetch-Site": "cross-site"}, {"Origin": None, "Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
def test_what_changes_something_must_pass_the_check(
    signed_in_browser, assert_refused, method, path, body, lacking
):
    answer = signed_in_browser.send(method, path, body, **lacking)

    assert_refused(answer, 403, "csrf_failed")
    assert signed_in_browser.get("/api/auth/me").json()["fullname"] == ""


@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=[f"{row[0]} {row[1]}" for row in CHANGES])
@pytest.mark.parametrize(
    "given",
    [{}, {"Origin": FRONT_END}, {"Origin": None, "Sec-Fetch-Site": "same-origin"}, {"Origin": None}],
)
def test_and_what_passes_it_is_done(signed_in_browser, method, path, body, given):
    assert signed_in_browser.send(method, path, body, **given).status_code in DONE


def test_without_the_cookie_no_header_is_a_proof(signed_in_browser, assert_refused):
    del signed_in_browser.http.cookies["csrftoken"]

    for value in ("", "x" * 32):
        answer = signed_in_browser.send("POST", "/api/auth/signout-all", **{"X-CSRFToken": value})
        assert_refused(answer, 403, "csrf_failed")


def test_an_empty_cookie_and_an_empty_header_are_no_proof(signed_in_browser, assert_refused):
    signed_in_browser.http.cookies["csrftoken"] = ""
    answer = signed_in_browser.send("POST", "/api/auth/signout-all", **{"X-CSRFToken": ""})

    assert_refused(answer, 403, "csrf_failed")


def test_a_token_in_a_header_needs_no_proof(browser, signed_in_browser):
    token = signed_in_browser.cookie("__Host-access").value

    answer = signed_in_browser.send(
        "PATCH", "/api/auth/me", {"fullname": "A"}, proof=False, Authorization=f"Bearer {token}", Origin=FOREIGN
    )

    assert answer.status_code == 200


def test_another_token_in_a_header_is_refused(signed_in_browser, assert_refused):
    other = SignedIn("alice")

    assert_refused(signed_in_browser.get("/api/test/user", other.access_token), 400, "invalid_request")


def test_two_different_csrf_cookies_are_no_proof(signed_in_browser, assert_refused):
    sent = "; ".join(f"{key}={morsel.value}" for key, morsel in signed_in_browser.http.cookies.items())
    signed_in_browser.http.cookies.clear()
    answer = signed_in_browser.send(
        "POST", "/api/auth/refreshtoken", Cookie=f"{sent}; csrftoken=mine", **{"X-CSRFToken": "mine"}
    )

    assert_refused(answer, 403, "csrf_failed")


@pytest.mark.parametrize("name", ["__Host-access", "__Secure-refresh"])
def test_two_different_cookies_of_one_name_are_refused(signed_in_browser, assert_refused, name):
    """A sister site can set a second one beside ours."""
    sent = "; ".join(f"{key}={morsel.value}" for key, morsel in signed_in_browser.http.cookies.items())
    csrf = signed_in_browser.cookie("csrftoken").value
    signed_in_browser.http.cookies.clear()

    answer = signed_in_browser.send(
        "POST", "/api/auth/refreshtoken", Cookie=f"{sent}; {name}=other", **{"X-CSRFToken": csrf}
    )
    if name == "__Host-access":
        assert answer.status_code == 200  # a refresh does not look at access tokens
        answer = signed_in_browser.get("/api/test/user", Cookie=f"{sent}; {name}=other")

    assert_refused(answer, 400, "invalid_request")


def test_a_cookie_of_the_other_mode_is_not_looked_at(signed_in_browser, auth, assert_refused):
    auth(cookie_domain="example.com")

    assert_refused(signed_in_browser.get("/api/test/user"), 401, "token_missing")


def test_a_refresh_takes_and_sets_the_cookies(signed_in_browser, clock):
    before = {name: signed_in_browser.cookie(name).value for name in ("__Host-access", "__Secure-refresh")}
    clock.advance(minutes=16)
    assert signed_in_browser.get("/api/test/user").json()["code"] == "token_expired"

    answer = signed_in_browser.send("POST", "/api/auth/refreshtoken")

    assert answer.json() == {"tokenType": "Bearer", "expiresIn": 900, "refreshExpiresIn": 86400}
    for name, value in before.items():
        assert signed_in_browser.cookie(name).value != value
    assert signed_in_browser.get("/api/test/user").status_code == 200


def test_a_body_without_anything_does_for_a_refresh(signed_in_browser):
    token = signed_in_browser.cookie("csrftoken").value
    answer = signed_in_browser.http.post("/api/auth/refreshtoken", headers={"X-CSRFToken": token})

    assert answer.status_code in (200, 415)
    assert signed_in_browser.http.generic(
        "POST", "/api/auth/refreshtoken", headers={"X-CSRFToken": token}
    ).status_code == 200  # fmt: skip


def test_a_token_in_the_body_is_answered_in_the_body(signed_in_browser):
    other = SignedIn("alice")
    before = signed_in_browser.cookie("__Secure-refresh").value

    answer = signed_in_browser.send(
        "POST", "/api/auth/refreshtoken", {"refreshToken": other.refresh_token}, proof=False, Origin=FOREIGN
    )

    assert answer.json()["refreshToken"]
    assert signed_in_browser.cookie("__Secure-refresh").value == before


def test_an_unusable_refresh_cookie_is_taken_back(signed_in_browser, assert_refused):
    RefreshToken.objects.get().delete()

    assert_refused(signed_in_browser.send("POST", "/api/auth/refreshtoken"), 403, "refresh_token_unknown")

    assert_taken_back(signed_in_browser)


def test_without_a_cookie_the_refresh_token_is_missing(browser, assert_refused):
    assert_refused(browser.send("POST", "/api/auth/refreshtoken"), 403, "refresh_token_missing")


@pytest.mark.parametrize("path", ["/api/auth/signout", "/api/auth/signout-all"])
def test_signing_out_ends_the_session_and_takes_the_cookies_back(signed_in_browser, path):
    assert signed_in_browser.send("POST", path).status_code == 204

    assert RefreshToken.objects.get().ended_at
    assert_taken_back(signed_in_browser)


def test_leaving_takes_the_cookies_back(signed_in_browser):
    assert signed_in_browser.send("DELETE", "/api/auth/me").status_code == 204

    assert_taken_back(signed_in_browser)


def test_an_access_cookie_alone_signs_out_too(signed_in_browser):
    del signed_in_browser.http.cookies["__Secure-refresh"]

    assert signed_in_browser.send("POST", "/api/auth/signout").status_code == 204
    assert RefreshToken.objects.get().ended_at


def test_a_token_given_by_hand_is_signed_out_before_one_that_rides_along(signed_in_browser):
    other = SignedIn("alice")
    del signed_in_browser.http.cookies["__Host-access"]

    answer = signed_in_browser.send("POST", "/api/auth/signout", Authorization=f"Bearer {other.access_token}")

    assert answer.status_code == 204
    assert RefreshToken.objects.get(ended_at__isnull=False).pk == other.claims.session_id


def test_with_a_domain_they_are_taken_back_from_the_domain(browser, auth):
    auth(cookie_domain="example.com")
    browser.sign_in_with_cookies()
    browser.send("POST", "/api/auth/signout")

    for name in ("__Secure-access", "__Secure-refresh"):
        assert browser.cookie(name)["domain"] == "example.com"
        assert browser.cookie(name).value == ""
        assert browser.cookie(name)["secure"]


def test_a_step_up_sets_the_access_cookie(signed_in_browser, clock):
    clock.advance(minutes=10)
    before = signed_in_browser.cookie("__Host-access").value

    answer = signed_in_browser.send("POST", "/api/auth/reauthenticate", {"password": PASSWORD})

    assert answer.json() == {"tokenType": "Bearer", "expiresIn": 900}
    assert signed_in_browser.cookie("__Host-access").value != before
    assert signed_in_browser.send("DELETE", "/api/auth/me").status_code == 204


def test_a_sign_in_draws_a_new_csrf_token(signed_in_browser):
    before = signed_in_browser.cookie("csrftoken").value
    signed_in_browser.sign_in_with_cookies()

    assert signed_in_browser.cookie("csrftoken").value != before


def test_a_page_of_an_allowed_origin_may_send_cookies(api):
    answer = api.get("/api/test/all", Origin=FRONT_END)

    assert answer["Access-Control-Allow-Credentials"] == "true"
    assert answer["Access-Control-Allow-Origin"] == FRONT_END


def test_the_public_url_is_an_allowed_origin(browser, auth):
    auth(public_url="https://auth.example.com/base")

    assert browser.sign_in_with_cookies(Origin="https://auth.example.com").status_code == 200


@pytest.mark.parametrize("origin", ["://", "", "http://"])
def test_no_public_url_is_no_origin(browser, origin, assert_refused):
    assert_refused(browser.sign_in_with_cookies(Origin=origin), 403, "csrf_failed")


def assert_taken_back(browser):
    for name in ("__Host-access", "__Secure-refresh"):
        cookie = browser.cookie(name)
        assert (cookie.value, cookie["max-age"], cookie["secure"]) == ("", 0, True)
    assert browser.cookie("__Host-access")["path"] == "/"
    assert browser.cookie("__Secure-refresh")["path"] == "/api/auth"


def test_a_sign_in_ends_the_session_that_the_browser_had(signed_in_browser):
    former = signed_in_browser.cookie("__Secure-refresh").value

    assert signed_in_browser.sign_in_with_cookies().status_code == 200

    assert RefreshToken.objects.exclude(ended_at=None).get().end_reason == "signed_out"
    assert Api().refresh(former).status_code == 403
    assert signed_in_browser.send("POST", "/api/auth/refreshtoken").status_code == 200


def test_a_sign_in_that_fails_ends_nothing(signed_in_browser):
    body = {"username": "alice", "password": "wrong password", "useCookies": True}

    assert signed_in_browser.send("POST", "/api/auth/signin", body).status_code == 401

    assert signed_in_browser.send("POST", "/api/auth/refreshtoken").status_code == 200
