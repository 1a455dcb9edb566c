"""docs/single-sign-on.md: each recipe with its own library, unmodified, in Chromium, against a running service."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pyotp
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from playwright.sync_api import expect

from tests.browsers import CHROMIUM
from tests.factories import PASSWORD
from tests.relying_parties import (
    APACHE,
    APACHE_MODULES,
    FILES,
    NPM,
    Issuer,
    Site,
    start_apache,
    start_django,
)
from tests.servers import wait_until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

PACKAGES = Path(__file__).parent / "single_sign_on"

SHOP_PAGE = """<!doctype html><title>Shop</title>
<script type="importmap">{"imports": {
  "oidc-client-ts": "/npm/oidc-client-ts/dist/esm/oidc-client-ts.js", "jwt-decode": "/npm/jwt-decode/build/esm/index.js"
}}</script>
<p id="user"></p><button id="sign-in">Sign in</button><button id="sign-out">Sign out</button>
<script type="module" src="/main.js"></script>"""

SHOP_SERVER = """
from api import app
from fastapi.staticfiles import StaticFiles

app.mount("/npm", StaticFiles(directory={packages!r}))
app.mount("/", StaticFiles(directory="page", html=True))
"""

BOOKS_URLS = """
from django.http import HttpResponse


def home(request):
    user = views.user_of(request)
    if not user:
        return HttpResponse('<a href="/sign-in">Sign in</a>')
    form = '<form method="post" action="/sign-out"><button>Sign out</button></form>'
    return HttpResponse(f'<p id="user">{user["preferred_username"]}</p>{form}')


urlpatterns.append(path("", home))
"""

OFFICE_URLS = """
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path, reverse


def home(request):
    if not request.user.is_authenticated:
        return HttpResponse(f'<a href="{reverse("oidc_authentication_init")}">Sign in</a>')
    user, form = request.user, '<form method="post" action="/oidc/logout/"><button>Sign out</button></form>'
    return HttpResponse(f'<p id="user">{user.first_name}</p><p id="sub">{user.username}</p>{form}')


urlpatterns = [path("", home), path("oidc/", include("mozilla_django_oidc.urls"))]
"""


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture that opens a database transaction: Playwright runs an event loop in this thread."""


@pytest.fixture(scope="module")
def issuer(tmp_path_factory, django_db_setup, django_db_blocker):
    running = Issuer(tmp_path_factory.mktemp("issuer"), django_db_blocker, AUTH_AUDIENCE="auth,orders")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Install the packages from npm; return the folder."""
    if NPM is None:
        pytest.skip("npm is not installed; CI installs it")
    folder = tmp_path_factory.mktemp("npm")
    shutil.copytree(PACKAGES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    command = [NPM, "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    if subprocess.run(command, cwd=folder, check=False, timeout=300).returncode:
        pytest.skip("npm cannot install the packages of the page")
    return folder


@pytest.fixture
def context(chromium):
    opened = chromium.new_context(ignore_https_errors=True)
    opened.set_default_timeout(15000)
    expect.set_options(timeout=15000)
    yield opened
    expect.set_options(timeout=5000)  # Playwright's default
    opened.close()


@contextmanager
def running(site):
    try:
        yield site
    finally:
        site.stop()


class Person:
    """A person with an account and, if they have an authenticator app, its secret."""

    def __init__(self, issuer, name):
        self.issuer, self.name, self.app, self.codes_used = issuer, name, None, 0
        email = f"{name}@example.com"
        issuer.post("/api/auth/signup", {"username": name, "email": email, "password": PASSWORD})

    def add_app(self):
        """Add an authenticator app, whose current code stays unused."""
        tokens = self.issuer.post("/api/auth/signin", {"username": self.name, "password": PASSWORD})
        access = {"Authorization": f"Bearer {tokens['accessToken']}"}
        app = self.issuer.post("/api/auth/factors/totp", {"name": "Phone"}, **access)
        self.app = pyotp.TOTP(app["secret"])
        confirmation = {"id": app["id"], "code": self.app.at(int(time.time()) - 30)}
        self.issuer.post("/api/auth/factors/totp/confirm", confirmation, **access)

    def sign_in_at_the_service(self, page):
        """Fill in the hosted page that the browser was sent to."""
        expect(page.locator("[name=password]")).to_be_visible()
        assert page.url.startswith(self.issuer.url)
        page.fill("[name=username]", self.name)
        page.fill("[name=password]", PASSWORD)
        page.locator("[name=password]").press("Enter")
        if self.app:
            # Each code works once: the next sign-in takes the one of half a minute later, which is accepted early.
            page.fill("[name=code]", self.app.at(int(time.time()) + 30 * self.codes_used))
            self.codes_used += 1
            page.locator("[name=code]").press("Enter")


@pytest.fixture
def person(issuer, request):
    return Person(issuer, f"user{abs(hash(request.node.nodeid))}")


def start_shop(issuer, packages, folder):
    """Start the page with oidc-client-ts, and its API, on one domain."""
    site = Site(issuer, "www.shop.test")
    issuer.create_application(
        "Shop", "--redirect-uri", f"{site.url}/", "--post-logout-redirect-uri", f"{site.url}/",
        "--backchannel-logout-uri", f"{site.local_url}/backchannel-logout", "--audience", "orders",
    )  # fmt: skip
    replaced = [("https://shop.example.com", site.url), ("https://api.shop.example.com", site.url)]
    (folder / "page").mkdir()
    files = {"auth.js": FILES["shop/auth.js"], "main.js": FILES["shop/main.js"], "index.html": SHOP_PAGE}
    site.write(folder / "page", replaced, **files)
    serve = SHOP_SERVER.format(packages=str(packages / "node_modules"))
    site.write(folder, replaced, **{"api.py": FILES["shop/api.py"], "shop.py": serve})
    return site.start([sys.executable, "-m", "uvicorn", "shop:app", "--port", str(site.port)], folder)


def start_books(issuer, folder):
    """Start the Django site with Authlib on another domain."""
    site = Site(issuer, "www.books.test")
    secret = issuer.create_application(
        "Books", "--confidential", "--redirect-uri", f"{site.url}/callback",
        "--post-logout-redirect-uri", f"{site.url}/",
        "--backchannel-logout-uri", f"{site.local_url}/backchannel-logout",
    )  # fmt: skip
    files = {"views.py": FILES["books/views.py"], "urls.py": FILES["books/urls.py"] + BOOKS_URLS}
    replaced = [("https://books.example.com", site.url), ("https://auth.example.com", issuer.url)]
    settings = FILES["books/settings.py"]
    return start_django(site, folder, replaced, secret, settings=settings, **files)


def request(url, **headers):
    """Return the status of a request, and its JSON."""
    try:
        with urlopen(Request(url, headers=headers), timeout=30) as response:
            return response.status, json.load(response)
    except OSError as error:
        return error.code, json.load(error)


def sign_in_quietly(page):
    """Sign in with `prompt=none`, and wait until the browser is back."""
    with page.expect_navigation(url=re.compile(r"[?&](code|error)=")):
        page.evaluate("void import('/auth.js').then(({ signInQuietly }) => signInQuietly())")


def stored_user(page):
    """Return what oidc-client-ts stored in the tab."""
    return page.evaluate(
        "JSON.parse(Object.entries(sessionStorage).find(([key]) => key.startsWith('oidc.user:'))[1])"
    )


def test_a_sign_in_with_password_and_code_on_one_domain_is_enough_for_another_and_a_sign_out_there_ends_both(
    issuer, packages, context, person, tmp_path
):
    for name in ("shop", "books"):
        (tmp_path / name).mkdir()
    person.add_app()
    with (
        running(start_shop(issuer, packages, tmp_path / "shop")) as shop,
        running(start_books(issuer, tmp_path / "books")) as books,
    ):
        shop_tab, books_tab = context.new_page(), context.new_page()
        shop_tab.goto(shop.url)
        sign_in_quietly(shop_tab)
        expect(shop_tab).to_have_url(f"{shop.url}/")
        expect(shop_tab.locator("#user")).to_be_empty()
        shop_tab.click("#sign-in")
        person.sign_in_at_the_service(shop_tab)
        expect(shop_tab.locator("#user")).to_have_text(person.name)

        asked = []
        books_tab.on(
            "response", lambda response: asked.append(response.url) if "/sign-in" in response.url else None
        )
        books_tab.goto(books.url)
        books_tab.click("text=Sign in")
        expect(books_tab.locator("#user")).to_have_text(person.name)
        assert asked == [f"{books.url}/sign-in"]  # no page of the service

        user = stored_user(shop_tab)
        _verify_id_token(issuer, user, "shop")
        bearer = {"Authorization": f"Bearer {user['access_token']}"}
        assert request(f"{shop.local_url}/orders", **bearer) == (200, {"of": user["profile"]["sub"]})

        books_tab.click("text=Sign out")
        expect(books_tab.get_by_text("Sign in")).to_be_visible()
        assert books_tab.url.startswith(books.url)
        wait_until(lambda: request(f"{shop.local_url}/orders", **bearer)[0] == 401, seconds=10)
        assert request(f"{shop.local_url}/orders", **bearer)[1]["code"] == "token_revoked"
        refresh = {"grant_type": "refresh_token", "client_id": "shop", "refresh_token": user["refresh_token"]}
        refused = context.request.post(f"{issuer.url}/api/oauth/token", form=refresh)
        assert (refused.status, refused.json()["error"]) == (400, "invalid_grant")
        shop_tab.bring_to_front()
        shop_tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(shop_tab.locator("#user")).to_have_text("")

        books_tab.click("text=Sign in")
        person.sign_in_at_the_service(books_tab)
        expect(books_tab.locator("#user")).to_have_text(person.name)
        sign_in_quietly(shop_tab)
        expect(shop_tab.locator("#user")).to_have_text(person.name)
        shop_tab.click("#sign-out")
        expect(shop_tab.locator("#user")).to_be_empty()
        wait_until(lambda: books_tab.goto(books.url) and books_tab.get_by_text("Sign in").count(), seconds=10)


def _verify_id_token(issuer, user, client_id):
    """Verify an ID token with joserfc, which shares no code with the service."""
    keys = KeySet.import_key_set(issuer.keys())
    token = jwt.decode(user["id_token"], keys, algorithms=["ES256"])
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer.url}, aud={"essential": True, "value": client_id},
        sub={"essential": True}, exp={"essential": True}, acr={"essential": True, "value": "2"},
    )  # fmt: skip
    registry.validate(token.claims)
    assert token.claims["amr"] == ["pwd", "otp", "mfa"]
    assert token.header["typ"] == "JWT"


@pytest.fixture
def desk(issuer, packages):
    """Return the site with openid-client on Express."""
    site = Site(issuer)
    secret = issuer.create_application(
        "Desk", "--confidential", "--redirect-uri", f"{site.url}/callback",
        "--post-logout-redirect-uri", f"{site.url}/", "--backchannel-logout-uri", f"{site.url}/backchannel-logout",
    )  # fmt: skip
    site.write(packages, [("https://desk.example.com", site.url)], **{"server.mjs": FILES["desk/server.mjs"]})
    site.start(["node", "server.mjs"], packages, CLIENT_SECRET=secret, SESSION_SECRET="x" * 32)
    yield site
    site.stop()


def test_a_server_in_javascript_with_openid_client(context, person, desk, issuer):
    page = context.new_page()
    sign_in_and_out(page, person, desk)
    page.click("text=Sign in")
    person.sign_in_at_the_service(page)
    expect(page.locator("#user")).to_have_text(person.name)

    forged = context.request.post(f"{desk.url}/backchannel-logout", form={"logout_token": "x.y.z"})
    assert forged.status == 400
    issuer.server.manage("endsessions", person.name)
    wait_until(lambda: page.goto(desk.url) and page.get_by_text("Sign in").count(), seconds=10)


STAFF_SERVER = """
import { ExpressAuth, getSession } from "@auth/express";
import express from "express";
import { company } from "./company.js";

const config = { trustHost: true, secret: process.env.SESSION_SECRET, providers: [company] };
const app = express();
app.use("/auth", (request, response, next) => {
  request.params = [request.path.slice(1)]; // of the pattern /auth/* of Express 4
  return ExpressAuth(config)(request, response, next);
});
app.get("/", async (request, response) => {
  const session = await getSession(request, config);
  response.send(session ? `<p id=user>${session.user.name}</p>` : "");
});
app.listen(process.env.PORT, "127.0.0.1");
"""


@pytest.fixture
def staff(issuer, packages):
    """Return the site with Auth.js."""
    site = Site(issuer)
    options = ("--confidential", "--redirect-uri", f"{site.url}/auth/callback/company")
    secret = issuer.create_application("Staff", *options)
    site.write(packages, **{"company.js": FILES["staff/company.js"], "staff.js": STAFF_SERVER})
    site.start(["node", "staff.js"], packages, CLIENT_SECRET=secret, SESSION_SECRET="x" * 32)
    yield site
    site.stop()


def test_a_server_in_javascript_with_auth_js(context, person, staff):
    page = context.new_page()
    page.goto(f"{staff.url}/auth/signin")
    page.get_by_role("button", name="Sign in with Company").click()
    person.sign_in_at_the_service(page)
    expect(page.locator("#user")).to_have_text(person.name)


@pytest.fixture
def office(issuer, tmp_path):
    """Return the Django site with mozilla-django-oidc."""
    site = Site(issuer)
    secret = issuer.create_application(
        "Office", "--confidential", "--redirect-uri", f"{site.url}/oidc/callback/",
        "--post-logout-redirect-uri", f"{site.url}/",
    )  # fmt: skip
    files = {"site_auth.py": FILES["office/site_auth.py"], "urls.py": OFFICE_URLS}
    settings = FILES["office/settings.py"] + "\nOIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = 1\n"
    yield start_django(site, tmp_path, [], secret, settings=settings, **files)
    site.stop()


def test_a_django_site_with_mozilla_django_oidc(context, person, office, issuer):
    page = context.new_page()
    sign_in_and_out(page, person, office)
    page.click("text=Sign in")
    person.sign_in_at_the_service(page)
    sub = page.locator("#sub").text_content()
    assert re.fullmatch("[0-9]+", sub)

    issuer.server.manage("endsessions", person.name)
    # The site asks again with `prompt=none`, a second after the last time.
    wait_until(lambda: page.goto(office.url) and page.get_by_text("Sign in").count(), seconds=10)


@pytest.fixture
def folder_for_apache():
    """Return a folder that the user of Apache's processes can read, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="auth-apache-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def wiki(issuer, folder_for_apache):
    """Return Apache with mod_auth_openidc."""
    if APACHE is None or not (APACHE_MODULES / "mod_auth_openidc.so").exists():
        pytest.skip("Apache with mod_auth_openidc is not installed; CI installs it")
    site = Site(issuer)
    secret = issuer.create_application(
        "Wiki", "--confidential", "--redirect-uri", f"{site.url}/oidc/callback",
        "--post-logout-redirect-uri", f"{site.url}/goodbye",
        "--backchannel-logout-uri", f"{site.url}/oidc/callback?logout=backchannel",
    )  # fmt: skip
    yield start_apache(site, folder_for_apache, secret)
    site.stop()


def test_a_product_that_takes_openid_connect(context, person, wiki, issuer):
    page = context.new_page()
    signed_in = page.get_by_text(re.compile(r"user \d+"))
    page.goto(f"{wiki.url}/page")
    person.sign_in_at_the_service(page)
    expect(signed_in).to_be_visible()
    assert page.url == f"{wiki.url}/page"

    issuer.server.manage("endsessions", person.name)  # reported to Apache
    wait_until(lambda: page.goto(f"{wiki.url}/page") and page.url.startswith(issuer.url), seconds=10)
    person.sign_in_at_the_service(page)
    expect(signed_in).to_be_visible()
    page.goto(f"{wiki.url}/oidc/callback?logout={wiki.url.replace(':', '%3A').replace('/', '%2F')}%2Fgoodbye")
    expect(page).to_have_url(re.compile(f"^{wiki.url}/goodbye"))
    page.goto(f"{wiki.url}/page")
    expect(page.locator("[name=password]")).to_be_visible()


def sign_in_and_out(page, person, site):
    """Sign in at a site with the password, and out; the next sign-in asks for the password."""
    page.goto(site.url)
    page.click("text=Sign in")
    person.sign_in_at_the_service(page)
    expect(page.locator("#user")).to_have_text(person.name)
    assert page.url == f"{site.url}/"

    page.click("text=Sign out")
    expect(page.get_by_text("Sign in")).to_be_visible()
    assert page.url.startswith(f"{site.url}/")
    page.click("text=Sign in")
    expect(page.locator("[name=password]")).to_be_visible()
    page.goto(site.url)
