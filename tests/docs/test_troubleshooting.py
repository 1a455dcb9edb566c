"""docs/troubleshooting.md: a test reproduces each symptom, its cause and its remedy."""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from io import StringIO

import pytest
import trustme
from django.core.management import call_command
from django.db import OperationalError
from django.test import override_settings

from accounts.keys import rotation as key_rotation
from accounts.keys.key_ring import key_ring
from accounts.models import Role, User
from accounts.users import passwords, roles
from accounts.values.clients import NO_CLIENT
from authproject.proxies import trust_proxies
from tests.browsers import CHROMIUM
from tests.conftest import Api, SignedIn
from tests.factories import PASSWORD, make_administrator, make_user
from tests.factors.conftest import App, add_app, add_passkey, second_step
from tests.servers import ROOT, free_port
from tests.tls import TlsProxy
from tests.webauthn import FLAG, SoftwareAuthenticator

TEXT = (ROOT / "docs/troubleshooting.md").read_text()
HEADINGS = re.findall(r"^### (.+)$", TEXT, re.MULTILINE)
FIRST_LOOK, LOOK_BEHIND_PROXY = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
TESTS_BY_SYMPTOM: dict[str, Callable] = {}
FETCH = """async ([method, url, body]) => {
    const headers = { "Content-Type": "application/json" };
    const sent = body && JSON.stringify(body);
    const response = await fetch(url, { method, headers, body: sent, credentials: "include" });
    return [response.status, await response.text()];
}"""


def symptom(heading):
    """Register the decorated test as the one that reproduces the symptom under a heading of the page."""

    def register(test):
        assert TESTS_BY_SYMPTOM.setdefault(heading, test) is test, heading
        return test

    return register


def section(heading):
    return TEXT.partition(f"### {heading}\n")[2].partition("\n#")[0]


def test_every_symptom_on_the_page_is_reproduced():
    assert sorted(TESTS_BY_SYMPTOM) == sorted(HEADINGS)


# The service does not start


@symptom("A setting is wrong")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH_ACCESS_TOKEN_LIFETIME", "15m"),
        ("AUTH_ACCOUNT_LIMIT", "10"),
        ("ALLOWED_HOSTS", "https://auth.example.com"),
        ("CORS_ALLOWED_ORIGINS", "http://localhost:3000/"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(name, value, tmp_path):
    done = manage(tmp_path, "check", **{name: value})

    assert done.returncode != 0
    assert name in done.stderr
    assert value in done.stderr


@symptom("Address already in use")
def test_a_port_in_use_is_reported_without_a_traceback(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = manage(tmp_path, "serve", PORT=str(taken.getsockname()[1]))

    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "Address already in use. Allowed: a HOST and PORT that are free on this machine." in last
    assert "Traceback" not in done.stderr


def manage(folder, *arguments, **own):
    settings = {
        "DATABASE_URL": f"sqlite:///{folder / 'db'}",
        "AUTH_KEYS_DIR": str(folder / "keys"),
        "WORKERS": "2",
    }
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env={**os.environ, **settings, **own},
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


# In the browser


@symptom("Blocked by CORS policy")
@pytest.mark.parametrize("origin", ["http://127.0.0.1:8081", "http://localhost:8082", "https://localhost:8081"])
def test_a_page_of_another_origin_gets_no_cors_header(api, origin):
    header = "Access-Control-Allow-Origin"

    assert api.get("/api/test/all", Origin="http://localhost:8081").headers[header] == "http://localhost:8081"
    assert header not in api.get("/api/test/all", Origin=origin).headers


def test_the_allowed_cors_headers_are_those_on_the_page(api):
    response = api.http.options(
        "/api/auth/me", headers={"Origin": "http://localhost:8081", "Access-Control-Request-Method": "GET"}
    )
    allowed = {name.strip() for name in response.headers["Access-Control-Allow-Headers"].split(",")} - {"accept"}

    listed = re.search(r"Headers that a page may send: (.*?)\. ", section("Blocked by CORS policy"), re.DOTALL)[1]
    assert {name.lower() for name in re.findall("`(.+?)`", listed)} == allowed


@symptom("403 csrf_failed")
@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Origin": "https://evil.example"}, "the page's origin is not allowed"),
        ({"Sec-Fetch-Site": "cross-site"}, "the request comes from another site"),
        ({}, "X-CSRFToken must repeat the value of the cookie"),
    ],
)
def test_each_failed_csrf_check_has_its_documented_message(api, assert_refused, headers, message):
    api.post("/api/auth/signin", {"username": make_user().username, "password": PASSWORD, "useCookies": True})

    refused = api.post("/api/auth/signout-all", **headers)

    assert_refused(refused, 403, "csrf_failed")
    assert message in refused.json()["message"]
    assert message in section("403 csrf_failed")


def test_the_csrf_cookie_is_limited_to_the_host_unless_a_domain_is_set(api):
    user = {"username": make_user().username, "password": PASSWORD, "useCookies": True}
    assert not api.post("/api/auth/signin", user).cookies["csrftoken"]["domain"]

    with override_settings(CSRF_COOKIE_DOMAIN="example.com"):  # what AUTH_COOKIE_DOMAIN sets
        assert api.post("/api/auth/signin", user).cookies["csrftoken"]["domain"] == "example.com"


@pytest.fixture(scope="module")
def page_port():
    return free_port()


@pytest.fixture(scope="module")
def server(start_server, page_port):
    server = start_server(CORS_ALLOWED_ORIGINS=f"http://localhost:{page_port},http://127.0.0.1:{page_port}")
    server.sign_in("ada")
    return server


class TestBrowser:
    """A browser, or curl, with pages on other hosts."""

    @pytest.fixture(autouse=True)
    def _database_transaction(self):
        """Turn the database of the tests off: the server has its own."""

    @pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
    @pytest.mark.parametrize(
        ("page", "service", "status"),
        [("localhost", "localhost", 200), ("localhost", "127.0.0.1", 401), ("127.0.0.1", "localhost", 401)],
    )
    def test_a_page_on_another_host_name_sends_no_cookies(
        self, server, page_port, chromium, page, service, status
    ):
        context = chromium.new_context()
        tab, address = context.new_page(), f"http://{page}:{page_port}/"
        tab.route(address, lambda route: route.fulfill(content_type="text/html", body="<title>x</title>"))
        tab.goto(address)
        api = f"http://{service}:{server.port}/api"
        user = {"username": "ada", "password": PASSWORD, "useCookies": True}

        assert tab.evaluate(FETCH, ["POST", f"{api}/auth/signin", user])[0] == 200
        status_code, text = tab.evaluate(FETCH, ["GET", f"{api}/test/user", None])
        assert status_code == status
        assert status == 200 or json.loads(text)["code"] == "token_missing"
        context.close()

    @pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
    def test_a_page_on_a_sibling_host_cannot_read_the_csrf_token(self, start_server, chromium):
        port = free_port()
        proxy = TlsProxy(trustme.CA().issue_cert("*.company.test"), port)
        page, service = (f"https://{name}.company.test:{proxy.port}" for name in ("app", "auth"))
        hosts = "auth.company.test,127.0.0.1"
        server = start_server(PORT=str(port), PUBLIC_URL=service, CORS_ALLOWED_ORIGINS=page, ALLOWED_HOSTS=hosts)
        sign_up = {"username": "ada", "email": "ada@example.com", "password": PASSWORD}
        assert server.post("/api/auth/signup", sign_up, **{"X-Forwarded-Proto": "https"})[0] == 201
        context = chromium.new_context(ignore_https_errors=True)
        tab = context.new_page()
        tab.route(f"{page}/", lambda route: route.fulfill(content_type="text/html", body="<title>x</title>"))
        tab.goto(f"{page}/")

        user = {"username": "ada", "password": PASSWORD, "useCookies": True}
        assert tab.evaluate(FETCH, ["POST", f"{service}/api/auth/signin", user])[0] == 200
        assert tab.evaluate(FETCH, ["GET", f"{service}/api/test/user", None])[0] == 200
        assert tab.evaluate("document.cookie") == ""
        status, text = tab.evaluate(FETCH, ["POST", f"{service}/api/auth/refreshtoken", {}])
        assert (status, json.loads(text)["code"]) == (403, "csrf_failed")
        context.close()
        proxy.stop()

    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    def test_curl_stores_secure_cookies_of_this_machine(self, server, tmp_path, host):
        api, jar = f"http://{host}:{server.port}/api", tmp_path / "jar"
        body = json.dumps({"username": "ada", "password": PASSWORD, "useCookies": True})
        output = run_in_shell(
            f"curl -s -c {jar} {api}/auth/signin -H 'content-type: application/json' -d '{body}' >&2;"
            f"curl -s -b {jar} {api}/test/user"
        )
        assert output == "User Content."

    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
    def test_the_commands_to_look_first_show_response_claims_and_readiness(self, server):
        pair = server.sign_in("grace")
        output = run_in_shell(FIRST_LOOK, api=f"http://127.0.0.1:{server.port}/api", access=pair["accessToken"])

        assert output.startswith("HTTP/1.1 200")
        [claims] = re.findall(r"^\{.*\"sid\".*\}$", output, re.MULTILINE)
        assert json.loads(claims)["iss"] == f"http://localhost:{server.port}"
        assert output.rstrip().endswith("}")


symptom("401 token_missing after a sign-in with cookies")(
    TestBrowser.test_a_page_on_another_host_name_sends_no_cookies
)


def run_in_shell(commands, **variables):
    done = subprocess.run(
        ["bash", "-euc", commands], env={"PATH": "/usr/bin:/bin:/usr/local/bin", **variables},
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@symptom("Signed out after a reload")
def test_the_client_stores_tokens_in_memory_by_default():
    assert "in memory: gone with the page" in (ROOT / "clients/js/README.md").read_text()


# Tokens are refused


@symptom("401 token_stale after a change of roles or password")
def test_after_a_role_change_the_token_is_stale_until_a_refresh(signed_in, assert_refused):
    roles.grant(User.objects.get(), ["moderator"], NO_CLIENT)

    assert_refused(signed_in.content(), 401, "token_stale")
    signed_in.access_token = signed_in.refresh(signed_in.refresh_token).json()["accessToken"]
    assert signed_in.content("mod").status_code == 200


@symptom("401 token_revoked after a change of password")
def test_a_password_change_revokes_other_sessions_and_a_reset_revokes_all(signed_in, assert_refused):
    elsewhere = SignedIn(User.objects.get().username)
    body = {"currentPassword": PASSWORD, "newPassword": "another horse staple"}
    assert signed_in.post("/api/auth/password/change", body, signed_in.access_token).status_code == 204

    assert_refused(elsewhere.content(), 401, "token_revoked")
    assert_refused(elsewhere.refresh(elsewhere.refresh_token), 403, "refresh_token_revoked")
    assert_refused(signed_in.content(), 401, "token_stale")

    passwords.set_password(User.objects.get(), "a third horse staple", NO_CLIENT)
    assert_refused(signed_in.content(), 401, "token_revoked")


@symptom("401 token_invalid")
@pytest.mark.parametrize(
    "cause", ["refresh token", "quotes", "audience", "first name", "issuer", "dropped", "clock"]
)
def test_each_documented_cause_is_refused_with_token_invalid(
    signed_in, override_auth, clock, assert_refused, cause
):
    def assert_invalid(token):
        assert_refused(signed_in.get("/api/test/user", token), 401, "token_invalid")

    if cause == "refresh token":
        return assert_invalid(signed_in.refresh_token)
    if cause == "quotes":
        return assert_invalid(f'"{signed_in.access_token}"')
    if cause == "audience":
        override_auth(audience=("authproject", "orders"))
        body = {"refreshToken": signed_in.refresh_token, "audience": "orders"}
        pair = signed_in.post("/api/auth/refreshtoken", body).json()
        signed_in.access_token, signed_in.refresh_token = pair["accessToken"], pair["refreshToken"]
    if cause == "first name":
        override_auth(audience=("auth",))
    if cause == "issuer":
        override_auth(issuer="https://auth.example.com")
    if cause == "dropped":
        key_rotation.drop(key_ring().signing.kid)
    if cause == "clock":
        clock.advance(seconds=-6)
    assert_invalid(signed_in.access_token)

    response = signed_in.refresh(signed_in.refresh_token)
    assert signed_in.get("/api/test/user", response.json()["accessToken"]).status_code == 200
    return None


@symptom("401 token_expired immediately")
def test_a_token_is_expired_if_the_clock_is_ahead_by_its_lifetime(signed_in, clock, assert_refused):
    clock.advance(minutes=15)

    assert_refused(signed_in.content(), 401, "token_expired")


@symptom("403 refresh_token_reused without a theft")
@pytest.mark.parametrize("situation", ["never stored", "too late", "used meanwhile"])
def test_a_client_that_presents_an_old_refresh_token_is_treated_as_a_thief(
    signed_in, clock, override_auth, assert_refused, events, situation
):
    newer = signed_in.refresh(signed_in.refresh_token).json()["refreshToken"]
    if situation == "used meanwhile":
        signed_in.refresh(newer)
    else:
        clock.advance(seconds=11)
        if situation == "never stored":
            override_auth(refresh_token_grace=60)
            assert signed_in.refresh(signed_in.refresh_token).status_code == 200
            override_auth(refresh_token_grace=10)
    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_reused")

    [line] = [line for line in events() if line["event"] == "session:reuse_detected"]
    assert (line["presented_generation"], line["current_generation"]) == (
        0,
        2 if situation == "used meanwhile" else 1,
    )


@symptom("Everybody is signed out at once")
def test_another_secret_key_refuses_all_refresh_tokens_until_the_old_one_is_a_fallback(
    signed_in, settings, assert_refused
):
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-one-" * 5
    assert_refused(signed_in.refresh(signed_in.refresh_token), 403, "refresh_token_unknown")

    settings.SECRET_KEY_FALLBACKS = [old]
    assert signed_in.refresh(signed_in.refresh_token).status_code == 200


@symptom("403 role_required for an administrator")
def test_a_superuser_has_no_role_until_it_is_granted(assert_refused):
    administrator = SignedIn(make_administrator("chief").username)
    assert_refused(administrator.content("admin"), 403, "role_required")

    call_command("grantrole", "chief", "admin", stdout=StringIO())
    administrator.access_token = administrator.refresh(administrator.refresh_token).json()["accessToken"]
    assert administrator.content("admin").status_code == 200
    assert_refused(administrator.content("mod"), 403, "role_required")


@symptom("400, two different access tokens")
def test_a_token_and_a_different_cookie_in_one_request_are_refused(signed_in, assert_refused):
    other = SignedIn(make_user().username)
    user = {"username": make_user().username, "password": PASSWORD, "useCookies": True}
    other.post("/api/auth/signin", user)

    refused = other.get("/api/test/user", signed_in.access_token)
    assert_refused(refused, 400, "invalid_request")
    assert "two different access tokens" in refused.json()["message"]


# Sign-in and email


@symptom("401 invalid_credentials with the right password")
def test_deactivated_users_padded_passwords_and_unverified_addresses_are_refused(
    api, override_auth, assert_refused
):
    make_user("off", is_active=False)
    assert_refused(api.sign_in("off"), 401, "invalid_credentials")
    make_user("alice")
    assert_refused(api.sign_in("alice", f"{PASSWORD} "), 401, "invalid_credentials")

    override_auth(hide_known_email=True, unverified_signin=False)
    assert_refused(api.sign_in("alice@example.com"), 401, "invalid_credentials")
    assert_refused(api.sign_in("alice"), 403, "email_unverified")


@symptom("403 email_unverified")
def test_an_unverified_user_is_refused_and_can_request_another_email(
    api, override_auth, mailoutbox, assert_refused
):
    override_auth(unverified_signin=False)
    make_user("alice")
    assert_refused(api.sign_in("alice"), 403, "email_unverified")

    assert api.post("/api/auth/email/verify/resend", {"email": "alice@example.com"}).status_code == 202
    assert len(mailoutbox) == 1


@symptom("403 second_factor_required")
def test_each_documented_cause_of_second_factor_required_has_its_remedy(
    signed_in, clock, override_auth, assert_refused
):
    override_auth(second_factor_roles=("moderator",))
    owner = User.objects.get()
    owner.roles.add(Role.objects.get(name="moderator"))
    signed_in.access_token = signed_in.refresh(signed_in.refresh_token).json()["accessToken"]
    assert_refused(signed_in.content("mod"), 403, "second_factor_required")

    app = add_app(signed_in)
    assert_refused(signed_in.content("mod"), 403, "second_factor_required")
    clock.advance(seconds=301)
    assert "authSession" in assert_refused_with(Api().sign_in(owner.username), "second_factor_required")
    assert_refused(
        signed_in.post("/api/auth/factors/totp", {}, signed_in.access_token), 403, "second_factor_required"
    )
    stepped_up = signed_in.post("/api/auth/reauthenticate", {"code": app.code()}, signed_in.access_token).json()
    assert signed_in.post("/api/auth/factors/totp", {}, stepped_up["accessToken"]).status_code == 201
    assert signed_in.get("/api/test/mod", stepped_up["accessToken"]).status_code == 200


def assert_refused_with(response, code):
    assert (response.status_code, response.json()["code"]) == (403, code)
    return response.json()


@symptom("403 invalid_code")
def test_used_foreign_and_late_codes_are_refused_and_an_unreadable_secret_is_logged(
    signed_in, clock, settings, caplog
):
    app, stranger, owner = add_app(signed_in), App("A" * 32), User.objects.get()
    used, (recovery, *_) = app.code(), signed_in.recovery_codes
    clock.advance(seconds=30)
    assert second_step(Api(), owner.username, recoveryCode=recovery).status_code == 200
    for presented in (
        {"code": used},
        {"code": stranger.code()},
        {"code": app.code(steps=2)},
        {"code": app.code(steps=-2)},
        {"recoveryCode": recovery},
    ):
        assert_refused_with(second_step(Api(), owner.username, **presented), "invalid_code")

    settings.SECRET_KEY = "another secret key, which is long enough for the service"
    assert_refused_with(second_step(Api(), owner.username, code=app.code()), "invalid_code")
    assert "The secret of authenticator" in caplog.text
    assert "cannot be decrypted" in caplog.text


@symptom("403 auth_session_invalid")
def test_an_old_or_used_auth_session_is_refused(signed_in, clock):
    app, owner = add_app(signed_in), User.objects.get()
    clock.advance(seconds=30)
    first = Api().sign_in(owner.username).json()["authSession"]
    body = {"authSession": first, "code": app.code()}
    assert Api().post("/api/auth/signin/second-factor", body).status_code == 200
    assert_refused_with(Api().post("/api/auth/signin/second-factor", body), "auth_session_invalid")

    first = Api().sign_in(owner.username).json()["authSession"]
    clock.advance(seconds=301)
    body = {"authSession": first, "code": app.code()}
    assert_refused_with(Api().post("/api/auth/signin/second-factor", body), "auth_session_invalid")


@symptom("A passkey is refused, or the browser offers none")
def test_each_documented_reason_of_a_refused_passkey_is_logged(signed_in, clock, events):
    authenticator = SoftwareAuthenticator()
    assert add_passkey(signed_in, authenticator).status_code == 201
    authenticator.origin = "http://127.0.0.1:8000"
    assert reason_of_refused_sign_in(authenticator, events) == "origin"
    authenticator.origin = "http://localhost:8000"
    authenticator.flags &= ~FLAG.UV
    assert reason_of_refused_sign_in(authenticator, events) == "user_verification"
    authenticator.flags |= FLAG.UV
    assert reason_of_refused_sign_in(authenticator, events, rpId="auth.example.com") == "relying_party"
    assert reason_of_refused_sign_in(authenticator, events, seconds=301, clock=clock) == "challenge"
    authenticator.counter = 1
    assert (
        Api().post("/api/auth/signin/passkey", {"credential": authenticator.get(fresh_options())}).status_code
        == 200
    )
    authenticator.counter -= 1
    assert reason_of_refused_sign_in(authenticator, events) == "counter"


def fresh_options():
    return Api().post("/api/auth/signin/passkey/options").json()


def reason_of_refused_sign_in(authenticator, events, seconds=0, clock=None, **changes):
    credential = authenticator.get(fresh_options() | changes)
    if clock:
        clock.advance(seconds=seconds)
    response = Api().post("/api/auth/signin/passkey", {"credential": credential})
    assert (response.status_code, response.json()["code"]) == (401, "invalid_credentials")
    return next(event["reason"] for event in reversed(events()) if event["event"] == "sign_in:failed")


@symptom("429 throttled")
def test_the_right_password_is_refused_after_too_many_wrong_ones(signed_in, assert_refused):
    user, stranger = User.objects.get(), Api(REMOTE_ADDR="203.0.113.7")
    for _ in range(10):
        assert_refused(stranger.sign_in(user.username, "wrong"), 401, "invalid_credentials")

    refused = stranger.sign_in(user.username)
    assert_refused(refused, 429, "throttled")
    assert 0 < int(refused.headers["Retry-After"]) <= 900
    assert signed_in.content().status_code == 200


@symptom("No email arrives")
def test_the_response_is_202_even_if_no_email_is_sent(api, mailoutbox):
    make_user("off", is_active=False)
    user = make_user("alice")
    for address in ("nobody@example.com", "off@example.com"):
        assert api.post("/api/auth/password/reset", {"email": address}).status_code == 202
    assert not mailoutbox

    for _ in range(11):
        assert api.post("/api/auth/password/reset", {"email": user.email}).status_code == 202
    assert len(mailoutbox) == 10
    assert all("http://localhost:8000/reset-password#token=" in mail.body for mail in mailoutbox)


def test_the_quoted_log_messages_are_those_of_the_code():
    code = "".join(
        (ROOT / path).read_text()
        for path in ("accounts/history/mail.py", "accounts/history/background.py", "api/errors.py")
    )
    quoted = (
        "Sending an email failed; retrying.",
        "A job failed.",
        "A request failed because of the configuration",
    )

    assert all(f"*{words}*" in TEXT and words in code for words in quoted)


# Behind a proxy


@symptom("400 invalid_request: Use https to reach this API")
def test_plain_http_is_refused_unless_a_trusted_proxy_says_https(api, settings, assert_refused):
    settings.SECURE_SSL_REDIRECT = True

    refused = api.get("/api/test/all")
    assert_refused(refused, 400, "invalid_request")
    assert refused.json()["message"] == "Use https to reach this API."
    assert api.get("/healthz").status_code == 200
    assert api.http.get("/api/test/all", secure=True).status_code == 200
    page = api.get("/")
    assert (page.status_code, page.headers["Location"]) == (301, "https://testserver/")

    environs = []
    application = trust_proxies(lambda environ, _: environs.append(environ), ["10.0.0.1"])
    for address in ("10.0.0.1", "10.0.0.2"):
        sent = {"REMOTE_ADDR": address, "HTTP_X_FORWARDED_PROTO": "https", "wsgi.url_scheme": "http"}
        application(sent, lambda *_: None)
    assert [environ["wsgi.url_scheme"] for environ in environs] == ["https", "http"]


class TestProxy:
    """A server that expects a proxy in front."""

    @pytest.fixture(autouse=True)
    def _database_transaction(self):
        """Turn the database of the tests off: the server has its own."""

    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
    def test_the_command_to_test_from_the_machine_itself_reaches_the_api(self, start_server):
        server = start_server(PUBLIC_URL="https://auth.example.com", ALLOWED_HOSTS="auth.example.com,127.0.0.1")
        command = LOOK_BEHIND_PROXY.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")

        assert run_in_shell(command) == "Public Content."
        assert "Use https" in run_in_shell(command.replace("-H 'X-Forwarded-Proto: https'", ""))


@symptom("400 invalid_request: The request is not valid")
def test_a_host_that_is_not_allowed_is_refused_without_field_errors(api, assert_refused):
    refused = api.get("/api/test/all", Host="10.0.0.7")

    assert_refused(refused, 400, "invalid_request")
    assert refused.json()["message"] == "The request is not valid."
    assert "errors" not in refused.json()


@symptom("The admin's sign-in says: CSRF verification failed")
def test_the_admin_refuses_a_sign_in_from_another_origin(client, settings):
    settings.CSRF_TRUSTED_ORIGINS = ["https://auth.example.com"]
    strict = type(client)(enforce_csrf_checks=True)
    token = strict.get("/admin/login/").cookies["csrftoken"].value
    form = {"username": "root", "password": PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
    make_administrator()

    def sign_in(origin):
        return strict.post("/admin/login/", form, headers={"Origin": origin}).status_code

    assert sign_in("https://other.example.com") == 403
    assert sign_in("https://auth.example.com") == 302


@symptom("All sessions show one address")
def test_every_request_has_the_proxy_s_address_unless_the_proxy_is_trusted():
    environs = []
    for proxies in ([], ["10.0.0.1"]):
        sent = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "192.0.2.9"}
        trust_proxies(lambda environ, _: environs.append(environ), proxies)(sent, lambda *_: None)

    assert [environ["REMOTE_ADDR"] for environ in environs] == ["10.0.0.1", "192.0.2.9"]


# Other services


@symptom("Another service refuses tokens that this one accepts")
def test_the_issuer_in_token_and_metadata_is_the_public_url_without_a_slash(signed_in, api):
    claims = json.loads(base64.urlsafe_b64decode(signed_in.access_token.split(".")[1] + "=="))
    metadata = api.get("/.well-known/oauth-authorization-server").json()

    assert claims["iss"] == metadata["issuer"] == "http://localhost:8000"
    assert not claims["iss"].endswith("/")


@symptom("Another service accepts tokens after a sign-out")
def test_a_signature_stays_valid_after_a_sign_out(signed_in):
    signed_in.post("/api/auth/signout", {"refreshToken": signed_in.refresh_token})

    assert signed_in.content().status_code == 401
    assert signed_in.claims.roles == ("user",)


# Outages


@symptom("503 unavailable")
def test_an_unreachable_database_is_503_with_retry_after(signed_in, monkeypatch, assert_refused):
    def raise_operational_error(*_):
        raise OperationalError("database is locked")

    monkeypatch.setattr("accounts.sessions.validity._query", raise_operational_error)
    refused = signed_in.content()

    assert_refused(refused, 503, "unavailable")
    assert refused.headers["Retry-After"] == "1"


# docs/http.md


def test_the_table_of_limits_lists_every_endpoint_that_documents_throttled():
    page = (ROOT / "docs/http.md").read_text()
    endpoints = page.partition("\n## Limits")[0].split("\n### ")[1:]
    limited = {part.splitlines()[0] for part in endpoints if "`throttled`" in part}

    assert set(re.findall(r"^\| `(\w+ /\S+)` \|", page.partition("## Limits")[2], re.MULTILINE)) == limited
