"""examples/react in Chromium: its page, its API and the service, as `make example` runs them."""

import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace
from urllib.request import urlopen

import pyotp
import pytest
from playwright.sync_api import expect

from tests.browser.axe import violations
from tests.browsers import CHROMIUM
from tests.factories import PASSWORD
from tests.servers import ROOT, free_port, wait_until

EXAMPLE = ROOT / "examples/react"
NPM = shutil.which("npm")

pytestmark = pytest.mark.skipif(CHROMIUM is None or NPM is None, reason="Chromium or npm is not installed")


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture that opens a database transaction: Playwright runs an event loop in this thread."""


def npm(folder, *arguments):
    return subprocess.run([NPM, *arguments], cwd=folder, check=False, timeout=300, capture_output=True, text=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return a copy of the example with its packages, which include the client as a package."""
    root = tmp_path_factory.mktemp("example")
    without = shutil.ignore_patterns("node_modules", "dist")
    for name in ("clients/js", "examples/react"):
        shutil.copytree(ROOT / name, root / name, ignore=without)
    folder = root / "examples/react"
    options = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    if npm(folder, "ci", *options).returncode:
        pytest.skip("npm cannot install the packages of the example")
    return folder


@pytest.fixture(scope="module")
def example(installed, chromium, start_server):
    """Run the page, the API and the service on free ports."""
    page, api = free_port(), free_port()
    origin, api_url = f"http://localhost:{page}", f"http://localhost:{api}"
    server = start_server(CORS_ALLOWED_ORIGINS=origin, AUTH_PROFILE_CLAIMS="username")
    service = f"http://localhost:{server.port}"
    variables = {
        "VITE_AUTH_URL": service, "VITE_API_URL": api_url, "AUTH_URL": service, "PAGE_ORIGIN": origin,
        "PYTHONPATH": str(ROOT / "clients/python"),
    }  # fmt: skip
    environment = {**os.environ, **variables}
    subprocess.run([NPM, "run", "build"], cwd=installed, env=environment, check=True, stdout=subprocess.DEVNULL)
    commands = [
        ["node_modules/.bin/vite", "preview", "--port", str(page), "--strictPort"],
        [sys.executable, "-m", "uvicorn", "main:app", "--app-dir", "api", "--port", str(api)],
    ]
    running = [subprocess.Popen(command, cwd=installed, env=environment) for command in commands]
    wait_until(lambda: _responds(origin) and _responds(f"{api_url}/docs"))
    yield SimpleNamespace(origin=origin, api=api_url, server=server, chromium=chromium)
    for process in running:
        process.terminate()
        process.wait(timeout=30)


def _responds(url):
    try:
        return urlopen(url, timeout=5).status == 200
    except OSError:
        return False


class Visitor:
    """A person with a browser of their own, who has an account."""

    def __init__(self, example, name, **device):
        self.example, self.name = example, name
        self.context = example.chromium.new_context(**device)
        self.context.set_default_timeout(15000)
        self.page = self.context.new_page()
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, path=""):
        self.page.goto(f"{self.example.origin}{path}")
        return self

    def submit(self, button, **fields):
        for label, text in fields.items():
            self.page.get_by_label(label.replace("_", " "), exact=False).fill(text)
        self.page.get_by_role("button", name=button, exact=True).click()
        return self

    def sign_up(self):
        self.open("/sign-up")
        email = f"{self.name}@example.com"
        self.submit("Create the account", Username=self.name, Email_address=email, Password=PASSWORD)
        return self.sees("My notes")

    def sign_in(self, path=""):
        return self.open(path).submit("Sign in", Username=self.name, Password=PASSWORD)

    def sees(self, heading):
        expect(self.page.get_by_role("heading", level=1)).to_have_text(heading, timeout=15000)
        return self

    def follow(self, link):
        self.page.get_by_role("link", name=link).click()
        return self


@pytest.fixture
def person(example, request):
    """Return a function that returns a browser of the same person; each test has a person of its own."""
    name = f"user{abs(hash(request.node.nodeid))}"
    visitors = []

    def new(**device):
        visitors.append(Visitor(example, name, **device))
        return visitors[-1]

    yield new
    for visitor in visitors:
        assert visitor.errors == []
        visitor.context.close()


def test_a_visitor_signs_up_writes_a_note_and_stays_signed_in(person):
    visitor = person().sign_up()
    expect(visitor.page.get_by_text("You have no notes yet.")).to_be_visible()
    visitor.submit("Add", New_note="<b>Buy ink</b>")
    expect(visitor.page.get_by_text("<b>Buy ink</b>")).to_be_visible()
    expect(visitor.page.get_by_label("New note")).to_be_empty()

    visitor.page.reload()
    expect(visitor.page.get_by_text("<b>Buy ink</b>")).to_be_visible()


def test_forms_say_what_is_wrong_and_keep_what_was_typed(person):
    visitor = person().open("/sign-up")
    visitor.submit("Create the account", Username=visitor.name, Email_address="a@example.com", Password="short")
    password = visitor.page.get_by_label("Password")

    expect(password).to_have_attribute("aria-invalid", "true")
    expect(visitor.page.get_by_role("alert")).to_contain_text("too short")
    expect(visitor.page.get_by_label("Username")).to_have_value(visitor.name)

    visitor.follow("Sign in").sees("Sign in").submit("Sign in", Username=visitor.name, Password="wrong password")
    expect(visitor.page.get_by_role("alert")).to_have_text("Invalid username or password!")

    # Without waiting for the page, the sign-in's field "Username or email address" could be filled instead.
    page = visitor.follow("Forgot your password?").sees("Reset your password")
    page.submit("Send the link", Email_address="a@example.com")
    expect(visitor.page.get_by_role("status")).to_contain_text("we sent a link")


def test_the_sign_in_leads_to_the_page_that_was_opened_and_never_to_another_site(person):
    visitor = person().sign_up()
    other = person().sign_in("/sessions").sees("Sessions")

    for next_page in ("//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"):
        other.submit("Sign out").sees("Sign in")
        other.sign_in(f"/sign-in?next={next_page}").sees("My notes")
        assert other.page.url.startswith(visitor.example.origin)


def add_authenticator(server, name):
    """Give the account an authenticator app; return the recovery codes."""
    access = {"Authorization": f"Bearer {server.sign_in(name)['accessToken']}"}
    _, app = server.post("/api/auth/factors/totp", {"name": "Phone"}, **access)
    code = pyotp.TOTP(app["secret"]).now()
    _, confirmed = server.post("/api/auth/factors/totp/confirm", {"id": app["id"], "code": code}, **access)
    return confirmed["recoveryCodes"]


def test_a_sign_in_asks_for_the_second_factor_of_the_account(person, example):
    visitor = person().sign_up().submit("Sign out").sees("Sign in")
    recovery_codes = add_authenticator(example.server, visitor.name)

    visitor.sign_in().submit("Sign in", Code="000000")
    expect(visitor.page.get_by_role("alert")).to_have_text("The code is wrong, or was used before.")
    visitor.submit("Sign in", Code=recovery_codes[0]).sees("My notes")


def test_a_session_that_is_ended_on_another_device_leads_to_the_sign_in(person):
    desk = person().sign_up()
    phone = person(
        user_agent="Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1"
    )
    phone.sign_in().sees("My notes")
    desk.follow("Sessions").submit("End the session of Safari on iOS")
    expect(desk.page.get_by_role("listitem")).to_have_count(1)

    phone.follow("Sessions").sees("Sign in")
    expect(phone.page.get_by_text("Your session has ended.")).to_be_visible()


def test_a_sign_out_in_one_tab_shows_the_sign_in_in_the_others(person):
    visitor = person().sign_up()
    other_tab = visitor.context.new_page()
    other_tab.goto(visitor.example.origin)
    expect(other_tab.get_by_role("heading", name="My notes")).to_be_visible()

    visitor.follow("Sessions").submit("Sign out everywhere").sees("Sign in")
    expect(other_tab.get_by_role("heading", name="Sign in")).to_be_visible()


def test_pages_are_for_the_roles_that_the_api_requires(person, example):
    visitor = person().sign_up().submit("Add", New_note="for all to see")
    expect(visitor.page.get_by_role("link", name="Moderation")).to_have_count(0)
    for path in ("/moderation", "/statistics"):
        visitor.open(path).sees("You may not see this page")

    example.server.manage("grantrole", visitor.name, "moderator", "admin")
    # The token of this page is older than the roles.
    visitor.open("/statistics").sees("Statistics")
    expect(visitor.page.get_by_role("row", name=visitor.name)).to_contain_text("1")
    visitor.follow("Moderation").sees("Moderation").submit("Delete the note “for all to see”")
    expect(visitor.page.get_by_text("for all to see")).to_have_count(0)


def test_a_new_email_address_requires_the_password_again(person):
    visitor = person().sign_up().follow(re.compile("user")).sees("Profile")
    visitor.submit("Save", Full_name="Ada Lovelace")
    expect(visitor.page.get_by_role("status")).to_have_text("Saved.")
    expect(visitor.page.get_by_role("link", name="Ada Lovelace")).to_be_visible()

    # As the service responds five minutes after the sign-in.
    refusal = {"message": "Enter your password again.", "code": "recent_authentication_required"}
    visitor.page.route("**/auth/me", lambda route: route.fulfill(status=403, json=refusal), times=1)
    visitor.submit("Save", Email_address="new@example.com")
    expect(visitor.page.get_by_role("alert")).to_have_text(refusal["message"])
    visitor.submit("Save", Password="wrong password")
    expect(visitor.page.get_by_role("alert")).not_to_have_text(refusal["message"])
    visitor.submit("Save", Password=PASSWORD)
    expect(visitor.page.get_by_role("status")).to_have_text("Saved.")

    visitor.page.reload()
    expect(visitor.page.get_by_label("Email address")).to_have_value("new@example.com")


def test_a_page_whose_api_cannot_be_reached_can_be_tried_again(person, example):
    visitor = person().sign_up()
    visitor.page.route(f"{example.api}/**", lambda route: route.abort())
    visitor.page.reload()
    visitor.sees("That did not work")
    expect(visitor.page.get_by_role("alert")).to_contain_text("cannot be reached")

    visitor.page.unroute(f"{example.api}/**")
    visitor.submit("Try again").sees("My notes")


def test_every_page_is_accessible_in_light_and_dark_and_fits_a_phone(person, example):
    visitor = person(viewport={"width": 360, "height": 740})
    _check(visitor.open("/sign-in").sees("Sign in"))
    _check(visitor.follow("Forgot your password?").sees("Reset your password"))
    visitor.sign_up().submit("Add", New_note="long" * 40)
    expect(visitor.page.get_by_role("listitem")).to_have_count(1)
    _check(visitor)
    example.server.manage("grantrole", visitor.name, "moderator", "admin")
    visitor.open().sees("My notes")
    for link, heading in (
        ("Sessions", "Sessions"), (visitor.name, "Profile"), ("Moderation", "Moderation"), ("Statistics", "Statistics"),
    ):  # fmt: skip
        _check(visitor.follow(link).sees(heading))


def _check(visitor):
    page = visitor.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for colors in ("light", "dark"):
        page.emulate_media(color_scheme=colors)
        assert violations(page) == [], colors


def test_make_example_starts_what_the_page_and_the_api_expect():
    start, client, api, config = [
        (EXAMPLE / name).read_text() for name in ("start.sh", "src/auth.ts", "api/main.py", "vite.config.ts")
    ]
    service, notes = re.findall(r'"http://localhost:(\d+)"', client)
    page, issuer = re.findall(r'"http://localhost:(\d+)"', api)

    assert f"PORT={service}\n" in start
    assert f"--port {notes} " in start
    assert f"CORS_ALLOWED_ORIGINS=http://localhost:{page} " in start
    assert f"port: {page}," in config
    assert issuer == service
    assert "\nexample: " in (ROOT / "Makefile").read_text()


def test_the_lock_file_contains_no_registry_urls():
    resolved = re.findall(r'"resolved": "(.*)"', (EXAMPLE / "package-lock.json").read_text())

    assert resolved == ["file:../../clients/js"]
