"""Cookies, cross-origin pages, and the pages that emails link to, in a real browser."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
import trustme

from tests.browsers import CHROMIUM
from tests.factories import PASSWORD
from tests.history.test_mail_server import Mailbox, SlowHandler, token_in
from tests.servers import ROOT, Server, environment, free_port
from tests.tls import TlsProxy

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

CALL = """async ([method, url, body, proof]) => {
    const headers = {};
    if (body) headers["Content-Type"] = "application/json";
    const token = document.cookie.match(/csrftoken=([^;]+)/);
    if (proof && token) headers["X-CSRFToken"] = token[1];
    const sent = body && JSON.stringify(body);
    const answer = await fetch(url, { method, headers, body: sent, credentials: "include" });
    const text = await answer.text();
    let read = text;
    try { read = JSON.parse(text); } catch {}
    return [answer.status, read];
}"""

KNOWS_ONLY_CSRFTOKEN = """async ([url, index]) => {
    const tokens = [...document.cookie.matchAll(/(?:^|; )csrftoken=([^;]+)/g)].map(([, token]) => token);
    const headers = { "X-CSRFToken": tokens.at(index) };
    return (await fetch(url, { method: "POST", headers, credentials: "include" })).status;
}"""


@pytest.fixture(scope="module")
def mailbox():
    return Mailbox()


@pytest.fixture(scope="module")
def mail_url(mailbox):
    from aiosmtpd.controller import Controller  # noqa: PLC0415

    controller = Controller(SlowHandler(mailbox), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield f"smtp://127.0.0.1:{controller.port}"
    controller.stop()


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture that opens a database transaction: Playwright runs an event loop in this thread."""


@pytest.fixture
def context(chromium):
    made = chromium.new_context(ignore_https_errors=True)
    made.set_default_timeout(15000)
    yield made
    made.close()


@pytest.fixture(scope="module")
def local(mail_url, start_server):
    """A development server: plain HTTP on localhost."""
    return start_server(EMAIL_URL=mail_url)


class Company:
    """The service and other sites on subdomains of one domain, over TLS."""

    def __init__(self, proxy_port, server):
        self.port = proxy_port
        self.server = server

    def url(self, host, path="/"):
        return f"https://{host}:{self.port}{path}"


@contextmanager
def running_company(tmp_path_factory, django_db_blocker, **variables):
    folder = tmp_path_factory.mktemp("company")
    port = free_port()
    proxy = TlsProxy(trustme.CA().issue_cert("*.company.test", "*.evil.test"), port)
    origins = ",".join(f"https://{name}.company.test:{proxy.port}" for name in ("app", "shop"))
    settings = environment(
        folder,
        django_db_blocker,
        PORT=str(port),
        PUBLIC_URL=f"https://auth.company.test:{proxy.port}",
        ALLOWED_HOSTS="auth.company.test,localhost,127.0.0.1",
        CORS_ALLOWED_ORIGINS=origins,
        **variables,
    )
    running = Server(settings, folder / "log")
    yield Company(proxy.port, running)
    assert running.stop() == 0
    proxy.stop()


@pytest.fixture(scope="module")
def company(tmp_path_factory, django_db_setup, django_db_blocker, mail_url):
    variables = {"EMAIL_URL": mail_url, "AUTH_COOKIE_DOMAIN": "company.test"}
    with running_company(tmp_path_factory, django_db_blocker, **variables) as running:
        yield running


@pytest.fixture(scope="module")
def company_without_shared_cookies(tmp_path_factory, django_db_setup, django_db_blocker, mail_url):
    with running_company(tmp_path_factory, django_db_blocker, EMAIL_URL=mail_url) as running:
        yield running


def page_at(context, url):
    """Open an empty page on another subdomain, for running scripts."""
    page = context.new_page()
    page.route(url, lambda route: route.fulfill(content_type="text/html", body="<!doctype html><title>x</title>"))
    page.goto(url)
    return page


def call(page, method, url, body=None, *, proof=True):
    return tuple(page.evaluate(CALL, [method, url, body, proof]))


def register(server, name):
    status, _ = server.post(
        "/api/auth/signup",
        {"username": name, "email": f"{name}@example.com", "password": PASSWORD},
        **{"X-Forwarded-Proto": "https"},
    )
    assert status == 201


def sign_in(page, base, name):
    body = {"username": name, "password": PASSWORD, "useCookies": True}
    return call(page, "POST", f"{base}/api/auth/signin", body)


def test_cookies_on_localhost_are_stored_and_hidden_from_scripts(local, context):
    register(local, "alice")
    base = f"http://localhost:{local.port}"
    page = context.new_page()
    page.goto(f"{base}/api/docs")

    status, body = sign_in(page, base, "alice")

    assert (status, "accessToken" in body) == (200, False)
    kept = {cookie["name"]: cookie for cookie in context.cookies()}
    assert set(kept) == {"__Host-access", "__Host-csrftoken", "__Secure-refresh", "csrftoken"}
    assert kept["__Host-access"]["httpOnly"]
    assert kept["__Secure-refresh"]["path"] == "/api/auth"
    readable = [cookie.partition("=")[0] for cookie in page.evaluate("document.cookie").split("; ")]
    assert sorted(readable) == ["__Host-csrftoken", "csrftoken"]
    assert "access" not in page.evaluate("document.cookie")
    assert call(page, "GET", f"{base}/api/test/user") == (200, "User Content.")


def test_a_single_page_app_on_localhost_works_with_cookies(local, context):
    register(local, "bob")
    base = f"http://localhost:{local.port}/api/auth"
    page = context.new_page()
    page.goto(f"http://localhost:{local.port}/api/docs")
    sign_in(page, f"http://localhost:{local.port}", "bob")

    assert call(page, "PATCH", f"{base}/me", {"fullname": "Bob"}, proof=False)[0] == 403
    assert call(page, "PATCH", f"{base}/me", {"fullname": "Bob"})[1]["fullname"] == "Bob"
    assert call(page, "POST", f"{base}/refreshtoken", proof=False)[0] == 403
    assert call(page, "POST", f"{base}/refreshtoken")[0] == 200
    assert call(page, "POST", f"{base}/reauthenticate", {"password": PASSWORD})[0] == 200
    [session] = call(page, "GET", f"{base}/sessions")[1]
    assert session["current"]
    assert session["device"] == "Headless Chrome on Linux"
    change = {"currentPassword": PASSWORD, "newPassword": "another good one"}
    assert call(page, "POST", f"{base}/password/change", change)[0] == 204
    assert call(page, "GET", f"{base}/me")[1]["code"] == "token_stale"
    assert call(page, "POST", f"{base}/refreshtoken")[0] == 200
    assert call(page, "GET", f"{base}/me")[0] == 200
    assert call(page, "POST", f"{base}/signout")[0] == 204
    assert {cookie["name"] for cookie in context.cookies()} == {"__Host-csrftoken", "csrftoken"}
    assert call(page, "GET", f"{base}/me")[1]["code"] == "token_missing"


def test_subdomains_share_the_session(company, context):
    register(company.server, "carol")
    auth = company.url("auth.company.test", "")
    app, shop = (page_at(context, company.url(f"{name}.company.test")) for name in ("app", "shop"))

    assert sign_in(app, auth, "carol")[0] == 200

    assert {cookie["name"] for cookie in context.cookies()} == {
        "__Secure-access", "__Secure-csrftoken", "__Secure-refresh", "csrftoken",
    }  # fmt: skip
    for page in (app, shop):
        assert call(page, "GET", f"{auth}/api/test/user") == (200, "User Content.")
    assert call(shop, "PATCH", f"{auth}/api/auth/me", {"fullname": "C"}, proof=False)[1]["code"] == "csrf_failed"
    assert call(shop, "PATCH", f"{auth}/api/auth/me", {"fullname": "C"})[1]["fullname"] == "C"
    assert call(shop, "POST", f"{auth}/api/auth/refreshtoken")[0] == 200
    assert call(app, "POST", f"{auth}/api/auth/refreshtoken")[0] == 200
    assert call(shop, "POST", f"{auth}/api/auth/signout")[0] == 204
    assert call(app, "GET", f"{auth}/api/auth/me")[0] == 401


def client_at(context, company, host):
    """Open a page that has created our client, as `client`."""
    page = page_at(context, company.url(host))
    page.route("**/auth-client.js", lambda route: route.fulfill(path=ROOT / "clients/js/auth-client.js"))
    options = {"url": company.url("auth.company.test"), "transport": "cookie"}
    page.evaluate(
        "async (options) => { const { AuthClient } = await import('/auth-client.js'); window.client = new AuthClient(options) }",
        options,
    )
    return page


def test_the_client_resumes_a_session_on_another_subdomain(company, context):
    register(company.server, "gina")
    app, shop = (client_at(context, company, f"{name}.company.test") for name in ("app", "shop"))
    app.evaluate("(fields) => client.signIn(fields)", {"username": "gina", "password": PASSWORD})

    assert shop.evaluate("client.session()") is None
    assert shop.evaluate("client.resume()")["user"]["username"] == "gina"
    assert shop.evaluate("client.call('PATCH', 'auth/me', { fullname: 'Gina' })")["fullname"] == "Gina"
    shop.evaluate("client.signOut()")
    assert app.evaluate("client.refresh().catch(({ code }) => code)") == "refresh_token_missing"
    assert app.evaluate("client.session()") is None


PLANT = "(domain) => { document.cookie = `csrftoken=${'s'.repeat(32)}; path=/; secure${domain}` }"


@pytest.mark.parametrize("moment", ["before the sign-in", "after the sign-in"])
@pytest.mark.parametrize(
    ("fixture", "host"), [("company", "app"), ("company", "auth"), ("company_without_shared_cookies", "auth")]
)
def test_a_csrftoken_of_another_site_for_the_domain_locks_no_client_out(request, context, fixture, host, moment):
    company = request.getfixturevalue(fixture)
    name = f"{host}-{moment.split()[0]}-{fixture[-1]}"
    register(company.server, name)
    auth = company.url("auth.company.test", "")
    sister = page_at(context, company.url("old.company.test"))
    page = client_at(context, company, f"{host}.company.test")
    if moment.startswith("before"):
        sister.evaluate(PLANT, "; domain=company.test")
    page.evaluate("(fields) => client.signIn(fields)", {"username": name, "password": PASSWORD})
    if moment.startswith("after"):
        sister.evaluate(PLANT, "; domain=company.test")
    assert "s" * 32 in page.evaluate("document.cookie") or fixture == "company"

    for _ in range(2):
        assert page.evaluate("client.call('PATCH', 'auth/me', { fullname: 'New' })")["fullname"] == "New"
        assert page.evaluate("client.refresh()")["user"]["username"] == name
        # A client that knows only `csrftoken`, and sends the first or the last one that it finds.
        for index in (0, -1):
            status = page.evaluate(KNOWS_ONLY_CSRFTOKEN, [f"{auth}/api/auth/refreshtoken", index])
            assert status == 200
    page.evaluate("client.signOut()")
    assert call(page, "GET", f"{auth}/api/auth/me")[0] == 401


def test_a_csrftoken_that_the_service_does_not_receive_does_not_mislead_our_client(company, context):
    register(company.server, "hugo")
    shop = client_at(context, company, "shop.company.test")
    shop.evaluate(PLANT, "")  # for the host of the page only
    shop.evaluate("(fields) => client.signIn(fields)", {"username": "hugo", "password": PASSWORD})

    assert shop.evaluate("client.call('PATCH', 'auth/me', { fullname: 'Hugo' })")["fullname"] == "Hugo"


def test_other_origins_cannot_use_the_cookies(company, context):
    register(company.server, "dave")
    auth = company.url("auth.company.test", "")
    app = page_at(context, company.url("app.company.test"))
    sign_in(app, auth, "dave")
    # Another site, and a sibling subdomain that is not in the allowed origins although the browser sends it cookies.
    for host in ("www.evil.test", "old.company.test"):
        evil = page_at(context, company.url(host))
        with pytest.raises(Exception, match="Failed to fetch"):
            call(evil, "GET", f"{auth}/api/auth/me")
        with pytest.raises(Exception, match="Failed to fetch"):
            call(evil, "POST", f"{auth}/api/auth/signout-all")
        # Without CORS a page may send, and is not given what comes back, not even to embed it.
        with pytest.raises(Exception, match="Failed to fetch"):
            evil.evaluate(
                "url => fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include'})",
                f"{auth}/api/auth/signout",
            )
        evil.set_content(f'<form method="post" action="{auth}/api/auth/signout-all"></form>')
        evil.evaluate("document.forms[0].submit()")
        evil.wait_for_url(f"{auth}/**")
        assert any(code in evil.content() for code in ("csrf_failed", "token_missing"))

    assert call(app, "GET", f"{auth}/api/auth/me")[0] == 200


def test_a_form_on_another_origin_cannot_sign_a_user_in(company, context):
    register(company.server, "mallory")
    auth = company.url("auth.company.test", "")
    evil = page_at(context, company.url("www.evil.test"))
    evil.set_content(
        f'<form method="post" action="{auth}/api/auth/signin"><input name="username" value="mallory">'
        f'<input name="password" value="{PASSWORD}"><input name="useCookies" value="true"></form>'
    )
    evil.evaluate("document.forms[0].submit()")
    evil.wait_for_url(f"{auth}/**")

    assert "csrf_failed" in evil.content()
    assert "__Secure-access" not in {cookie["name"] for cookie in context.cookies()}


GRANT_MANY_ROLES = """
from accounts.models import Role, User
roles = Role.objects.bulk_create(Role(name=f"department-{number}") for number in range(300))
User.objects.get(username="ivy").roles.add("moderator", *roles)
"""


def test_a_browser_keeps_the_cookies_of_a_user_with_many_roles(local, context):
    register(local, "ivy")
    local.manage("shell", "-c", GRANT_MANY_ROLES)
    base = f"http://localhost:{local.port}"
    page = context.new_page()
    page.goto(f"{base}/verify-email")

    _, body = sign_in(page, base, "ivy")

    assert len(body["roles"]) == 302
    assert call(page, "GET", f"{base}/api/test/mod") == (200, "Moderator Content.")
    assert call(page, "GET", f"{base}/api/test/admin")[0] == 403
    assert call(page, "POST", f"{base}/api/auth/refreshtoken")[0] == 200
    assert call(page, "GET", f"{base}/api/test/mod") == (200, "Moderator Content.")


@pytest.fixture
def link(local, mailbox):
    """Request an email and return the token in its link."""

    def of(subject, path, body):
        assert local.post(path, body)[0] in (201, 202)
        for mail in iter(lambda: mailbox.mails.get(timeout=30), None):
            if (mail["To"], mail["Subject"]) == (body["email"], subject):
                return token_in(mail)
        return None

    return of


def test_the_link_in_a_verification_email_verifies_the_address(local, context, link):
    token = link(
        "Verify your email address",
        "/api/auth/signup",
        {"username": "erin", "email": "erin@example.com", "password": PASSWORD},
    )
    page = context.new_page()
    page.goto(f"http://localhost:{local.port}/verify-email#token={token}")
    assert page.url.endswith("/verify-email")

    page.get_by_role("button", name="Verify").click()

    page.wait_for_selector("text=Your email address is verified.")
    assert not page.is_visible("button")


def test_the_link_in_a_reset_email_sets_a_new_password(local, context, link):
    register(local, "frank")
    token = link("Reset your password", "/api/auth/password/reset", {"email": "frank@example.com"})
    page = context.new_page()
    page.goto(f"http://localhost:{local.port}/reset-password#token={token}")
    page.get_by_label("New password").fill("short")
    page.click("button")
    page.wait_for_selector("text=This password is too short")
    field = page.locator("input:focus")
    assert field.get_attribute("aria-invalid") == "true"
    assert field.get_attribute("aria-describedby") == page.locator("text=too short").get_attribute("id")

    page.get_by_label("New password").fill("another good one")
    page.click("button")

    page.wait_for_selector("text=Your password was changed.")
    assert local.post("/api/auth/signin", {"username": "frank", "password": "another good one"})[0] == 200


def test_the_link_in_an_invitation_creates_an_account(local, context, mailbox):
    command = [sys.executable, "manage.py", "invite", "grace@example.com"]
    subprocess.run(command, cwd=ROOT, env=local.environment, check=True, capture_output=True, timeout=60)
    mails = iter(lambda: mailbox.mails.get(timeout=30), None)
    token = token_in(next(mail for mail in mails if mail["To"] == "grace@example.com"))
    page = context.new_page()
    page.goto(f"http://localhost:{local.port}/invitation#token={token}")
    page.get_by_label("Username").fill("grace")
    page.get_by_label("Password").fill(PASSWORD)

    page.click("button")

    page.wait_for_selector("text=Your account was created.")
    assert local.post("/api/auth/signin", {"username": "grace", "password": PASSWORD})[0] == 200


def test_a_link_with_an_invalid_token_shows_an_error(local, context):
    page = context.new_page()
    page.goto(f"http://localhost:{local.port}/verify-email#token=<img src=x onerror=alert(1)>")
    page.click("button")

    page.wait_for_selector("text=This link is invalid, has expired or was already used.")


ADMIN_PAGES = [
    "/admin/", "/admin/accounts/user/", "/admin/accounts/user/add/", "/admin/accounts/refreshtoken/",
    "/admin/accounts/activity/", "/admin/accounts/service/", "/admin/accounts/service/add/", "/admin/password_change/",
]  # fmt: skip


def test_pages_respect_their_own_content_security_policy(local, context):
    local.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    local.manage("createsuperuser", "--noinput", "--username", "root", "--email", "root@example.com")
    base = f"http://localhost:{local.port}"
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))

    page.goto(f"{base}/api/docs")
    page.get_by_text("Token authentication service").first.wait_for()
    page.locator(".opblock").first.click()
    page.goto(f"{base}/admin/")
    page.fill("[name=username]", "root")
    page.fill("[name=password]", PASSWORD)
    page.click("[type=submit]")
    for path in ADMIN_PAGES:
        assert page.goto(base + path).status == 200, path
    page.goto(f"{base}/admin/accounts/user/")
    page.click("th.field-name a")
    page.locator("[name=_save]").wait_for()

    assert not [text for text in complaints if "Content Security Policy" in text]
