"""The start page in a real browser: desktop, phone, keyboard, dark mode, and screen reader."""

import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from tests.browser.axe import violations
from tests.browsers import CHROMIUM
from tests.factories import PASSWORD
from tests.servers import ROOT

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
    "reduced_motion": "reduce",
}
LIGHT, DARK = {"color_scheme": "light"}, {"color_scheme": "dark"}
# A reader that never met an element announces nothing when it comes with its text.
IS_LEFT_OUT = "(one) => !one.checkVisibility()"
IS_BENEATH_THE_NOTICE = """() => {
  const [one, notice] = [document.activeElement, document.querySelector("#notice")].map((it) => it.getBoundingClientRect());
  return one.top < notice.bottom && one.bottom > notice.top;
}"""


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture that opens a database transaction: Playwright runs an event loop in this thread."""


@pytest.fixture(scope="module")
def server(chromium, start_server):
    return start_server()


class Visit:
    """The start page in one browser context. It records console errors and the hosts of requests."""

    def __init__(self, chromium, server, **device):
        self.origin = f"http://localhost:{server.port}"
        self.context = chromium.new_context(**device)
        self.context.set_default_timeout(15000)
        self.complaints = []
        self.origins = set()
        self.page = self.context.new_page()
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.origins.add(re.match(r"[a-z]+://[^/]+", request.url)[0]))
        self.page.goto(self.origin)

    def _listen(self, message):
        # A browser complains of each refusal, which here are what the page is about.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def sign_up(self, name):
        self.page.get_by_label("Username", exact=True).fill(name)
        self.page.get_by_label("Email address", exact=True).fill(f"{name}@example.com")
        self.page.locator("#sign-up").get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Create the account").click()
        self.sees(f"Hello, {name}")

    def sign_in(self, name, password=PASSWORD):
        self.page.get_by_label("Username or email address").fill(name)
        self.page.locator("#sign-in").get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).click()

    def sees(self, text):
        self.page.get_by_text(text).first.wait_for()
        return True

    def text(self, element):
        return self.page.locator(f"#{element}").inner_text()

    def description(self, field):
        """Return the accessible description of the field."""
        ids = (field.get_attribute("aria-describedby") or "").split()
        return " ".join(self.text(one) for one in ids if self.text(one))

    def has_focus(self, element):
        self.page.wait_for_function("(id) => document.activeElement.id === id", arg=element)
        return True

    def unfold(self):
        """Open all that is folded on a phone."""
        folded = self.page.locator("details:not([open]) > summary:visible")
        while folded.count():
            folded.first.click()

    def height(self):
        """Return the height of the page in screens."""
        return self.page.evaluate("document.documentElement.scrollHeight / innerHeight")

    def fits(self):
        return self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture
def visit(chromium, server):
    made = []

    def make(**device):
        made.append(Visit(chromium, server, **device))
        return made[-1]

    yield make
    for one in made:
        assert one.complaints == []
        assert one.origins == {one.origin}
        one.context.close()


@pytest.fixture
def name(request):
    return f"user{abs(hash(request.node.nodeid))}"


@pytest.fixture
def registered(server, name):
    server.post("/api/auth/signup", {"username": name, "email": f"{name}@example.com", "password": PASSWORD})
    return name


@needs_chromium
@pytest.mark.parametrize("device", [DESK | LIGHT, PHONE | DARK], ids=["desk", "phone"])
def test_the_whole_flow_works_on_desktop_and_phone(visit, name, device):
    one = visit(**device)
    assert one.fits()
    one.sign_up(name)
    assert one.has_focus("who")
    assert one.fits()

    one.unfold()
    assert "ES256" in one.text("jwt-header")
    assert '["user"]' in one.text("jwt-claims")
    assert re.match(r"Valid for another 1[45] min \d+ s", one.text("countdown"))
    assert "authrt_" in one.text("refresh-parts")

    for button, expected in [
        ("Anyone", "200: Public Content."),
        ("User", "200: User Content."),
        ("Moderator", "403: Require Moderator Role!"),
        ("Admin", "403: Require Admin Role!"),
    ]:
        one.press(button)
        assert one.sees(expected)

    before = one.text("jwt")
    one.press("Refresh now")
    assert one.sees("Refreshed: generation 1")
    assert one.text("jwt") != before
    assert re.search(r"Generation 1\s+current", one.text("generations"))
    assert re.search(r"gets the same response for (10|9) seconds", one.text("generations"))

    one.press("Replay an old one")
    assert one.sees("The refresh token of generation 0 was used again: refresh_token_reused.")
    assert one.has_focus("try")
    assert not one.page.is_visible("#signed-in")


@needs_chromium
def test_the_list_of_requests_is_beside_the_actions(visit, registered):
    one = visit(**DESK)
    one.sign_in(registered)
    one.press("Moderator")
    one.sees("403: Require Moderator Role!")
    one.press("Refresh now")
    one.sees("Refreshed: generation 1")

    log = one.page.locator("#requests").bounding_box()
    assert log["y"] + log["height"] <= DESK["viewport"]["height"]
    for action in ("sign-out", "calls", "answer", "refresh", "replay"):
        box = one.page.locator(f"#{action}").bounding_box()
        assert box["y"] + box["height"] <= DESK["viewport"]["height"]
        assert box["x"] + box["width"] <= log["x"]


@needs_chromium
@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
def test_the_page_of_a_signed_in_user_fits_three_screens_of_a_phone(visit, registered, locale):
    one = visit(**PHONE, locale=locale)
    one.page.fill("#in-username", registered)
    one.page.fill("#in-password", PASSWORD)
    one.page.click("#sign-in button")
    for generation in range(1, 4):
        one.page.click("#calls button:last-child")
        one.page.locator("#answer:not(:empty)").wait_for()
        one.page.click("#refresh")
        one.page.locator("#generations").get_by_text(f"Generation {generation}").wait_for()

    assert one.height() <= 3
    assert one.fits()


@needs_chromium
def test_what_the_page_says_of_a_generation_is_what_the_service_would_do(visit, registered):
    one = visit(**DESK)
    one.page.clock.install()
    one.sign_in(registered)
    one.press("Refresh now")
    one.sees("gets the same response for")

    one.page.clock.fast_forward(11_000)
    assert one.sees("used up: ends the session")
    assert "gets the same response" not in one.text("generations")
    assert re.search(r"Generation 1\s+current", one.text("generations"))

    one.page.clock.fast_forward(86_400_000)
    assert one.sees("expired: refused")


@needs_chromium
def test_the_page_and_its_errors_are_in_the_language_of_the_browser(visit, registered):
    one = visit(**DESK, locale="de-AT")

    assert one.page.get_attribute("html", "lang") == "de"
    one.page.fill("#in-username", registered)
    one.page.fill("#in-password", "wrong password")
    one.page.get_by_role("button", name="Anmelden").click()
    assert one.sees("Benutzername oder Passwort ist falsch.")
    one.page.fill("#up-username", "someone")
    one.page.fill("#up-email", "someone@example.com")
    one.page.fill("#up-password", "short")
    one.page.get_by_role("button", name="Konto erstellen").click()
    assert one.sees("Dieses Passwort ist zu kurz.")
    one.page.goto(f"{one.origin}/verify-email")
    one.page.get_by_role("button", name="Bestätigen").click()
    assert one.sees("Dieser Link ist ungültig, abgelaufen oder wurde bereits verwendet.")


@needs_chromium
def test_a_session_can_be_revoked_from_another_device(visit, registered):
    here, there = visit(**DESK), visit(**PHONE)
    for one in (there, here):
        one.sign_in(registered)
        assert one.sees(f"Hello, {registered}")
    here.page.get_by_role("button", name="End the session of").nth(1).click()
    here.page.locator("#sessions li").nth(1).wait_for(state="detached")

    there.press("User")

    assert there.sees("Your session was revoked.")
    here.page.get_by_role("button", name="End the session of").click()
    assert here.sees("Your session was revoked.")


@needs_chromium
def test_tabs_of_one_browser_share_the_session(visit, registered):
    one = visit(**DESK)
    other = one.context.new_page()
    other.goto(one.origin)
    one.sign_in(registered)
    other.get_by_text(f"Hello, {registered}").wait_for()

    one.press("Sign out")

    other.get_by_text("You signed out in another tab.").wait_for()


@needs_chromium
def test_reloading_the_page_keeps_the_user_signed_in(visit, registered):
    one = visit(**DESK)
    one.sign_in(registered)
    one.sees(f"Hello, {registered}")

    one.page.reload()

    assert one.sees(f"Hello, {registered}")


@needs_chromium
def test_the_page_can_be_used_with_the_keyboard_alone(visit, registered):
    one = visit(**DESK)
    keys = one.page.keyboard

    def tab_to(target):
        for _ in range(40):
            keys.press("Tab")
            if one.page.evaluate("document.activeElement.id || document.activeElement.textContent") == target:
                return
        pytest.fail(f"no Tab leads to {target}")

    keys.press("Tab")
    assert one.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    keys.press("Enter")
    tab_to("in-username")
    keys.type(registered)
    keys.press("Tab")
    keys.type("wrong password")
    keys.press("Enter")
    assert one.sees("Invalid username or password!")
    assert one.has_focus("in-username")
    keys.press("Tab")
    keys.press("Control+A")
    keys.type(PASSWORD)
    keys.press("Enter")
    assert one.has_focus("who")
    tab_to("refresh")
    keys.press("Space")
    assert one.sees("Refreshed: generation 1")
    tab_to("User")
    keys.press("Enter")
    assert one.sees("200: User Content.")


@needs_chromium
def test_an_invalid_field_shows_its_error_message(visit):
    one = visit(**PHONE)
    one.page.locator("#sign-up").get_by_label("Password").fill("short")
    one.page.get_by_label("Email address", exact=True).fill("someone@example.com")
    one.page.get_by_label("Username", exact=True).fill("someone")
    one.press("Create the account")

    assert one.sees("This password is too short")
    assert one.page.get_attribute("#up-password", "aria-invalid") == "true"
    assert one.has_focus("up-password")


@needs_chromium
def test_a_screen_reader_announces_the_error_of_a_field_until_the_next_attempt(visit, registered):
    one = visit(**DESK)
    one.sign_in(registered, "wrong password")
    assert one.sees("Invalid username or password!")
    field = one.page.locator("#up-password")
    field.fill("short")
    one.page.get_by_label("Email address", exact=True).fill("someone@example.com")
    one.page.get_by_label("Username", exact=True).fill("someone")
    one.press("Create the account")
    assert one.sees("This password is too short")
    assert one.description(field) == (
        "At least 8 characters. Several words are better than a few symbols. "
        "This password is too short. It must contain at least 8 characters."
    )

    one.sign_in(registered)
    one.sees(f"Hello, {registered}")
    one.press("Sign out")
    one.sees("You signed out.")

    assert set(one.page.locator(".error").all_inner_texts()) == {""}
    assert one.page.locator("input").evaluate_all("all => all.map((one) => one.value).join('')") == ""
    assert field.get_attribute("aria-invalid") is None
    assert one.description(field) == "At least 8 characters. Several words are better than a few symbols."


@needs_chromium
def test_a_failed_action_shows_a_visible_notice_until_the_next_action(visit, registered):
    one = visit(**PHONE)
    one.sign_in(registered)
    one.sees(f"Hello, {registered}")
    one.context.route("**/api/auth/refreshtoken", lambda route: route.abort())
    one.page.get_by_role("button", name="Refresh now").scroll_into_view_if_needed()
    one.press("Refresh now")
    one.sees("The service cannot be reached. You remain signed in.")

    shown = one.page.locator("#notice").bounding_box()
    assert shown["y"] >= 0
    assert shown["y"] + shown["height"] <= PHONE["viewport"]["height"]
    one.press("User")
    assert one.sees("200: User Content.")
    assert one.text("notice") == ""


@needs_chromium
def test_the_notice_never_covers_the_focused_element(visit, name):
    one = visit(**PHONE)
    one.sign_up(name)
    one.sees("Account created")
    one.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    one.page.get_by_role("button", name="Admin", exact=True).focus()
    come_to = []

    while "sign-out" not in come_to:
        one.page.keyboard.press("Shift+Tab")
        come_to.append(one.page.evaluate("document.activeElement.id"))
        assert not one.page.evaluate(IS_BENEATH_THE_NOTICE), come_to


@needs_chromium
def test_repeated_failures_are_announced_each_time(visit, registered):
    one = visit(**DESK)
    one.sign_in(registered)
    one.sees(f"Hello, {registered}")
    down = {"status": 503, "headers": {"Retry-After": "60"}, "json": {"message": "Down.", "code": "unavailable"}}
    one.context.route("**/api/auth/refreshtoken", lambda route: route.fulfill(**down))
    one.press("Refresh now")
    one.sees("Down. You remain signed in.")

    one.press("Refresh now")

    assert one.sees("Down.")


@needs_chromium
@pytest.mark.parametrize("path", ["", "/reset-password", "/verify-email"])
def test_live_regions_exist_before_they_have_content(visit, path):
    one = visit(**DESK)
    one.page.goto(one.origin + path)

    places = one.page.locator("#notice, #outcome, [role=log]").all()

    assert places
    assert not any(place.evaluate(IS_LEFT_OUT) for place in places)


@needs_chromium
@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("device", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_reports_no_violations(visit, name, device, scheme):
    one = visit(**device, **scheme)

    assert violations(one.page) == []
    one.sign_in("nobody", "wrong password")
    one.sees("Invalid username or password!")
    assert violations(one.page) == []
    one.sign_up(name)
    one.press("Moderator")
    one.press("Refresh now")
    one.sees("Refreshed: generation 1")
    one.unfold()
    assert violations(one.page) == []
    one.press("Replay an old one")
    one.sees("refresh_token_reused")
    assert violations(one.page) == []
    for path in ("reset-password", "verify-email", "invitation"):
        one.page.goto(f"{one.origin}/{path}")
        one.page.locator("input").evaluate_all(
            "all => all.forEach((one) => { one.value = 'correct horse battery' })"
        )
        one.page.click("button")
        one.page.locator("#outcome:not(:empty)").wait_for()
        assert violations(one.page) == []


def test_the_content_security_policy_forbids_inline_and_third_party_content(client, db):
    response = client.get("/")

    assert response.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'"
    )
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert not re.search(r"<script>|<style|style=|onclick=|https?://", response.content.decode())


def test_the_page_links_to_the_documentation_and_the_admin(client, db):
    page = client.get("/").content.decode()

    assert 'href="/api/docs"' in page
    assert 'href="/admin/"' in page


def test_a_disabled_start_page_returns_404(client, db, override_auth):
    override_auth(start_page=False)

    off, nowhere = client.get("/"), client.get("/nowhere")

    assert (off.status_code, off.content) == (nowhere.status_code, nowhere.content)
    assert off.status_code == 404
    assert client.post("/").content == nowhere.content


def test_other_methods_get_the_405_response_of_the_api(db):
    response = Client(enforce_csrf_checks=True).post("/")

    assert (response.status_code, response.json()["code"], response["Allow"]) == (
        405,
        "method_not_allowed",
        "GET, HEAD",
    )


def test_the_replay_section_is_absent_without_rotation(client, db, override_auth):
    override_auth(refresh_token_rotation=False)

    page = client.get("/").content.decode()

    assert "Replay" not in page
    assert "Rotation is off" in page


@pytest.mark.parametrize("file", ["auth-client.js", "factors.js"])
def test_the_page_uses_the_published_client(file):
    assert finders.find(f"api/{file}")
    assert (ROOT / "api/static/api" / file).resolve() == ROOT / "clients/js" / file


@needs_chromium
def test_the_page_works_with_encrypted_tokens(chromium, start_server):
    visit = Visit(chromium, start_server(AUTH_TOKEN_ENCRYPTION="true"), **DESK)
    visit.sign_up("alice")

    visit.page.wait_for_function("document.getElementById('jwt-header').textContent.includes('A256GCM')")
    assert (
        "encrypted: only services that have the key can read them"
        in visit.page.locator("#jwt-claims").text_content()
    )
    assert visit.page.locator("#jwt").text_content().count(".") == 4
    assert visit.complaints == []
    visit.context.close()
