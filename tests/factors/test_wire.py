"""What is common to all endpoints for second factors: CSRF, caching, slashes, methods, forms, signals, discovery."""

from urllib.parse import urlencode

import pytest
from django.contrib.auth import user_logged_in, user_login_failed

from tests.api.test_cookies import FRONT_END, Browser
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_user
from tests.factors.conftest import add_app, second_step

COMPLETE = "/api/auth/signin/second-factor"
FORM = "application/x-www-form-urlencoded"
UNKNOWN = "01a212d6-34b3-76af-95c9-8fd77c375bea"

PROTECTED = [
    ("POST", "/api/auth/factors/totp"),
    ("POST", "/api/auth/factors/totp/confirm"),
    ("POST", "/api/auth/factors/passkeys/options"),
    ("POST", "/api/auth/factors/passkeys"),
    ("POST", "/api/auth/factors/recovery-codes"),
    ("PATCH", f"/api/auth/factors/{UNKNOWN}"),
    ("DELETE", f"/api/auth/factors/{UNKNOWN}"),
    ("POST", "/api/auth/reauthenticate/passkey/options"),
]
PUBLIC = [("POST", COMPLETE), ("POST", "/api/auth/signin/passkey/options"), ("POST", "/api/auth/signin/passkey")]
ALL = [("GET", "/api/auth/factors"), *PROTECTED, *PUBLIC]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_a_change_by_cookie_needs_the_csrf_token_and_an_allowed_origin(clock, assert_refused, method, path):
    make_user("alice")
    browser = Browser()
    assert browser.sign_in_with_cookies().status_code == 200
    assert_refused(browser.send(method, path, with_csrf_token=False), 403, "csrf_failed")
    assert_refused(browser.send(method, path, Origin="https://evil.example"), 403, "csrf_failed")
    assert browser.send(method, path).json().get("code") != "csrf_failed"


@pytest.mark.parametrize(("method", "path"), ALL)
def test_no_cache_may_store_a_response_and_the_path_works_with_a_slash(signed_in, method, path):
    responses = [
        signed_in.http.generic(method, path + slash, "{}", "application/json", headers=bearer(signed_in))
        for slash in ("", "/")
    ]
    assert responses[0].status_code == responses[1].status_code < 500
    assert {response["Cache-Control"] for response in responses} == {"no-store"}
    assert all(response.content == b"" or response["Content-Type"] == "application/json" for response in responses)


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_without_an_access_token_nothing_is_changed(api, assert_refused, method, path):
    assert_refused(api.http.generic(method, path, "{}", "application/json"), 401, "token_missing")


@pytest.mark.parametrize("path", sorted({path for _, path in ALL}))
@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "HEAD"])
def test_other_methods_are_refused_with_those_that_are_allowed(signed_in, method, path):
    response = signed_in.http.generic(method, path, headers=bearer(signed_in))
    if method == "HEAD" and path == "/api/auth/factors":
        assert (response.status_code, response.content) == (200, b"")
    else:
        assert response.status_code == 405
        assert method not in response["Allow"].split(", ")


def bearer(client):
    return {"Authorization": f"Bearer {client.access_token}"}


def test_a_preflight_allows_front_ends(api):
    headers = {"Origin": FRONT_END, "Access-Control-Request-Method": "POST"}
    response = api.http.generic("OPTIONS", COMPLETE, headers=headers)
    assert response["Access-Control-Allow-Origin"] == FRONT_END
    assert "DELETE" in response["Access-Control-Allow-Methods"]


def test_a_sign_in_with_a_code_works_with_forms(with_app):
    body = urlencode({"username": with_app.user.username, "password": PASSWORD})
    first = Api().http.post("/api/auth/signin", body, FORM)
    fields = {"authSession": first.json()["authSession"], "code": with_app.app.code()}
    assert Api().http.post(COMPLETE, urlencode(fields), FORM).status_code == 200


def test_a_step_up_and_an_enrollment_work_with_forms(with_app):
    code = urlencode({"code": with_app.app.code()})
    stepped_up = with_app.http.post("/api/auth/reauthenticate", code, FORM, headers=bearer(with_app))
    assert stepped_up.status_code == 200
    begun = with_app.http.post("/api/auth/factors/totp", "name=Tablet", FORM, headers=bearer(with_app))
    assert begun.status_code == 201


def test_a_repeated_field_of_a_form_is_refused(with_app, assert_refused):
    auth_session = Api().sign_in(with_app.user.username).json()["authSession"]
    body = urlencode([("authSession", auth_session), ("code", "000000"), ("code", with_app.app.code())])
    assert_refused(Api().http.post(COMPLETE, body, FORM), 400, "invalid_request")


def test_null_is_the_same_as_a_missing_field(with_app, assert_refused):
    absent = {"recoveryCode": None, "passkey": None}
    assert second_step(Api(), with_app.user.username, code=with_app.app.code(), **absent).status_code == 200
    auth_session = Api().sign_in(with_app.user.username).json()["authSession"]
    body = {"authSession": auth_session, "code": None, **absent}
    assert_refused(Api().post(COMPLETE, body), 400, "invalid_request")
    assert_refused(Api().post(COMPLETE, {"authSession": None, "code": "000000"}), 400, "invalid_request")
    assert with_app.post("/api/auth/factors/totp", {"name": None}, with_app.access_token).status_code == 201


def test_an_auth_session_is_bound_to_no_address_and_no_cookie(with_app):
    first = Api(REMOTE_ADDR="192.0.2.7", HTTP_USER_AGENT="one").sign_in(with_app.user.username).json()
    body = {"authSession": first["authSession"], "code": with_app.app.code()}
    assert Api(REMOTE_ADDR="198.51.100.9", HTTP_USER_AGENT="two").post(COMPLETE, body).status_code == 200


def test_an_auth_session_is_no_token(with_app, assert_refused):
    auth_session = Api().sign_in(with_app.user.username).json()["authSession"]
    assert_refused(Api().get("/api/test/user", auth_session), 401, "token_invalid")
    assert_refused(Api().refresh(auth_session), 403, "refresh_token_unknown")
    assert_refused(Api().get("/api/auth/factors", auth_session), 401, "token_invalid")


def test_an_access_token_that_rides_along_does_not_disturb_a_sign_in(with_app):
    first = Api().sign_in(with_app.user.username).json()
    body = {"authSession": first["authSession"], "code": with_app.app.code()}
    assert Api().post(COMPLETE, body, "not a token").status_code == 200


def test_an_old_front_end_gets_a_message_that_a_person_understands_and_no_token(with_app):
    response = Api().sign_in(with_app.user.username)
    assert response.status_code == 403
    assert response.json()["message"] == (
        "A second factor is required: confirm with your authenticator app, a passkey or a recovery code."
    )
    assert {"accessToken", "refreshToken", "id", "username"}.isdisjoint(response.json())
    assert "WWW-Authenticate" not in response
    assert not response.cookies


def test_a_browser_gets_its_cookies_after_the_second_step_only(with_app):
    browser = Browser()
    first = browser.sign_in_with_cookies(with_app.user.username)
    assert not browser.http.cookies
    body = {"authSession": first.json()["authSession"], "code": with_app.app.code()}
    second = browser.send("POST", COMPLETE, body)
    assert "accessToken" not in second.json()
    assert {"__Host-access", "__Secure-refresh", "csrftoken"} <= set(browser.http.cookies)
    assert browser.http.get("/api/test/user").status_code == 200


def test_the_list_of_sessions_shows_the_level_of_each(with_app):
    second_step(Api(), with_app.user.username, code=with_app.app.code())
    make_user("bob")
    bob = SignedIn("bob")
    levels = {
        client: [row["acr"] for row in client.get("/api/auth/sessions", client.access_token).json()]
        for client in (with_app, bob)
    }
    assert levels == {with_app: ["2", "2"], bob: ["1"]}
    add_app(bob)
    assert bob.get("/api/auth/sessions", bob.access_token).json()[0]["acr"] == "2"


@pytest.fixture
def received():
    """Return the signals that were sent, in order."""
    calls = []

    def receive(signal, **arguments):
        calls.append((signal, arguments))

    for signal in (user_logged_in, user_login_failed):
        signal.connect(receive)
    yield calls
    for signal in (user_logged_in, user_login_failed):
        signal.disconnect(receive)


def test_a_sign_in_is_signaled_after_the_second_step_only(with_app, received):
    first = Api().sign_in(with_app.user.username).json()
    assert received == []
    wrong = {"authSession": first["authSession"], "code": "000000"}
    Api().post(COMPLETE, wrong)
    assert [signal for signal, _ in received] == [user_login_failed]
    assert received[0][1]["credentials"] == {"username": with_app.user.username, "password": "*" * 20}
    assert "000000" not in str(received[0][1]["credentials"])
    received.clear()
    Api().post(COMPLETE, {**wrong, "code": with_app.app.code()})
    [(signal, arguments)] = received
    assert (signal, arguments["user"]) == (user_logged_in, with_app.user)


def test_a_sign_in_with_a_passkey_is_signaled(with_passkey, received):
    options = Api().post("/api/auth/signin/passkey/options").json()
    credential = with_passkey.authenticator.get(options)
    for _ in range(2):  # the second time, the challenge is used
        Api().post("/api/auth/signin/passkey", {"credential": credential})
    assert [signal for signal, _ in received] == [user_logged_in, user_login_failed]


def test_browsers_find_the_origins_of_passkeys_if_there_are_several(api, override_auth, settings, assert_refused):
    override_auth(public_url="https://example.com")
    settings.CORS_ALLOWED_ORIGINS = ["https://elsewhere.example"]
    assert_refused(api.get("/.well-known/webauthn"), 404, "not_found")
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com", "https://elsewhere.example"]
    response = api.get("/.well-known/webauthn")
    assert response.json() == {"origins": ["https://example.com", "https://app.example.com"]}
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "public, max-age=3600"


def test_the_metadata_names_the_levels(api):
    metadata = api.get("/.well-known/oauth-authorization-server").json()
    assert metadata["acr_values_supported"] == ["1", "2"]
