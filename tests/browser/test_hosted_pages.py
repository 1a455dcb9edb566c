"""The hosted pages in a real browser: without scripts, by keyboard, on a phone, and with passkeys."""

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.api.pages import authorize_path
from tests.browser.axe import violations
from tests.browser.test_start_page import DARK, DESK, LIGHT, PHONE
from tests.browsers import CHROMIUM
from tests.clients.test_js_factors import add_authenticator
from tests.factories import PASSWORD

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

REGISTER = """
from accounts.models import Application
Application.objects.create(client_id="shop", name="Shop", redirect_uris=["http://127.0.0.1/callback"])
"""
WITHOUT_SCRIPTS = {"java_script_enabled": False}


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture that opens a database transaction: Playwright runs an event loop in this thread."""


@pytest.fixture(scope="module")
def server(chromium, start_server):
    running = start_server()
    running.manage("shell", "-c", REGISTER)
    return running


class Shop(ThreadingHTTPServer):
    """An application on another origin. As many do, it redirects from its callback to yet another one."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), ShopHandler)
        self.callback = f"http://127.0.0.1:{self.server_port}/callback"
        self.received = []
        Thread(target=self.serve_forever, daemon=True).start()


class ShopHandler(BaseHTTPRequestHandler):
    def do_GET(self):
        path, port = urlsplit(self.path), self.server.server_port
        if path.path == "/callback":
            self.server.received.append((parse_qs(path.query), self.headers))
            self.send_response(303)
            self.send_header("Location", f"http://shop.test:{port}/home")
        else:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def shop():
    running = Shop()
    yield running
    running.shutdown()
    running.server_close()


class Visit:
    """A browser that an application sends to sign in."""

    def __init__(self, chromium, server, shop, **device):
        self.origin, self.shop = f"http://localhost:{server.port}", shop
        self.context = chromium.new_context(**device)
        self.context.set_default_timeout(15000)
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, message):
        # A browser reports each refusal, and what it would like of password forms.
        expected = "Failed to load resource" in message.text or message.text.startswith("[DOM]")
        if message.type in {"error", "warning"} and not expected:
            self.complaints.append(message.text)

    def begin(self, **request):
        self.page.goto(self.origin + authorize_path(redirect_uri=self.shop.callback, **request))

    def arrives(self):
        """Return what the application received, when the browser is there."""
        self.page.wait_for_url(re.compile(r"http://shop\.test:\d+/home"))
        return self.shop.received[-1]

    def sign_up(self, name):
        self.page.get_by_role("link", name="Create an account").click()
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Email address").fill(f"{name}@example.com")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Create the account").click()

    def fits(self):
        return self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def focused(self):
        return self.page.evaluate("document.activeElement.id")


@pytest.fixture
def visit(chromium, server, shop):
    made = []

    def make(**device):
        made.append(Visit(chromium, server, shop, **device))
        return made[-1]

    yield make
    for one in made:
        assert one.complaints == []
        one.context.close()


def test_a_person_without_scripts_signs_up_signs_out_and_signs_in(visit):
    person = visit(**DESK, **WITHOUT_SCRIPTS)
    person.begin()
    person.sign_up("noscript")
    answer, headers = person.arrives()
    assert answer["state"] == ["s1"]
    assert answer["code"]
    assert "Referer" not in headers

    person.begin()  # needs no password
    assert person.arrives()[0]["code"] != answer["code"]

    person.page.goto(f"{person.origin}/signout")
    person.page.get_by_role("button", name="Sign out").click()
    person.page.get_by_role("heading", name="You are signed out").wait_for()
    person.begin()
    person.page.get_by_label("Username or email address").fill("noscript")
    person.page.get_by_label("Password").fill("wrong")
    person.page.get_by_role("button", name="Sign in").click()
    person.page.get_by_text("Invalid username or password!").wait_for()
    person.page.get_by_label("Password").fill(PASSWORD)
    person.page.get_by_role("button", name="Sign in").click()
    assert person.arrives()[0]["code"]


@pytest.mark.parametrize(
    "device", [DESK | LIGHT, PHONE | DARK | {"locale": "de-DE"}], ids=["desk", "german phone"]
)
def test_the_pages_fit_and_are_accessible(visit, device):
    person = visit(**device)
    paths = ["/sign-up", "/forgot-password", "/resend-verification", "/signout", "/reset-password", "/authorize"]
    for path in paths:
        person.page.goto(person.origin + path)
        assert (path, person.fits(), violations(person.page)) == (path, True, [])
    person.begin()
    person.page.locator("#username").fill("nobody")
    person.page.locator("#password").fill("wrong")
    person.page.keyboard.press("Enter")
    person.page.locator("#error:not(:empty)").wait_for()
    assert (person.focused(), person.fits(), violations(person.page)) == ("password", True, [])
    assert person.page.title().startswith(("Error: ", "Fehler: "))


def test_a_person_signs_in_by_keyboard_alone(visit):
    person = visit(**DESK)
    person.begin()
    person.sign_up("keyboard")
    person.arrives()
    person.begin(prompt="login")
    assert person.focused() == "password"  # the username is filled in
    person.page.keyboard.type(PASSWORD)
    for _ in range(2):
        person.page.keyboard.press("Tab")  # the choice to stay signed in, and the button
    person.page.keyboard.press("Enter")

    assert person.arrives()[0]["code"]


def test_a_passkey_from_the_autofill_signs_in(visit, server):
    person = visit(**DESK)
    session, authenticator = add_authenticator(person.context, person.page)
    person.page.goto(person.origin)
    person.page.get_by_label("Username", exact=True).fill("passkey")
    person.page.get_by_label("Email address", exact=True).fill("passkey@example.com")
    person.page.locator("#sign-up").get_by_label("Password").fill(PASSWORD)
    person.page.get_by_role("button", name="Create the account").click()
    person.page.get_by_role("button", name="Add a passkey").click()
    person.page.get_by_role("button", name="I have saved them").click()
    automatic = {"authenticatorId": authenticator, "enabled": False}
    session.send("WebAuthn.setAutomaticPresenceSimulation", automatic)
    person.begin()
    person.page.get_by_label("Username or email address").fill("passkey")
    person.page.get_by_label("Password").fill(PASSWORD)
    person.page.get_by_role("button", name="Sign in", exact=True).click()
    person.page.get_by_label("Code").or_(person.page.get_by_label("Recovery code")).first.wait_for()
    assert violations(person.page) == []
    session.send("WebAuthn.setAutomaticPresenceSimulation", {**automatic, "enabled": True})
    person.page.get_by_role("button", name="Use a passkey").click()
    assert person.arrives()[0]["code"]

    person.begin(prompt="login")  # The virtual authenticator responds to the offer in the autofill.

    assert person.arrives()[0]["code"]
