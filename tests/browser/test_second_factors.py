"""Second factors on the start page: adding, signing in with, and losing them, by mouse, keyboard and phone."""

from types import SimpleNamespace

import pyotp
import pytest

from tests.browser.axe import violations
from tests.browser.test_start_page import DARK, DESK, LIGHT, PHONE, Visit
from tests.browsers import CHROMIUM
from tests.clients.test_js_factors import add_authenticator
from tests.factories import PASSWORD

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture that opens a database transaction: Playwright runs an event loop in this thread."""


@pytest.fixture(scope="module")
def server(chromium, start_server):
    return start_server()


@pytest.fixture
def open_page(chromium, server, request):
    """Return a function that opens the page for an account of its own, with a virtual authenticator."""
    visits = []

    def open_(**device):
        visit = Visit(chromium, server, **device)
        visit.name = f"user{abs(hash(request.node.nodeid))}"
        session, authenticator = add_authenticator(visit.context, visit.page)
        visit.authenticator = SimpleNamespace(session=session, id=authenticator)
        visits.append(visit)
        return visit

    yield open_
    for visit in visits:
        assert visit.complaints == []
        visit.context.close()


def answer_by_itself(visit, enabled):
    """Let the virtual authenticator respond at once, as if its user did, or never."""
    parameters = {"authenticatorId": visit.authenticator.id, "enabled": enabled}
    visit.authenticator.session.send("WebAuthn.setAutomaticPresenceSimulation", parameters)


def add_app(visit):
    """Add an authenticator app, and check the dialogs; return the recovery codes."""
    page = visit.page
    visit.unfold()
    visit.press("Add an authenticator app")
    code = page.get_by_label("Code that the app shows")
    code.wait_for()
    assert page.locator("#app-qr").evaluate("(image) => image.decode().then(() => image.naturalWidth > 0)")
    assert page.locator("#app-uri").get_attribute("href").startswith("otpauth://totp/")
    assert visit.fits()
    assert violations(page) == []
    code.fill("000000")
    visit.press("Confirm")
    assert visit.sees("The code is wrong, or was used before.")
    assert visit.has_focus("app-code")
    code.fill(pyotp.TOTP(page.locator("#app-secret").inner_text().replace(" ", "")).now())
    visit.press("Confirm")
    page.locator("#codes[open]").wait_for()
    assert violations(page) == []
    return page.locator("#codes-list li").all_inner_texts()


def sign_in(visit):
    visit.page.locator("#in-username:visible").wait_for()
    visit.page.locator("#in-username").fill(visit.name)
    visit.page.locator("#in-password").fill(PASSWORD)
    visit.page.keyboard.press("Enter")
    visit.page.locator("#confirmation[open]").wait_for()


@pytest.mark.parametrize("device", [DESK | LIGHT, PHONE | DARK], ids=["desk", "phone"])
def test_a_person_adds_an_app_loses_the_phone_and_comes_back_with_a_recovery_code(open_page, device):
    visit = open_page(**device)
    visit.sign_up(visit.name)
    codes = add_app(visit)
    assert len(codes) == 10
    with visit.page.expect_download() as download:
        visit.page.get_by_role("link", name="Download").click()
    assert download.value.path().read_text().split() == codes
    visit.press("I have saved them")
    assert visit.has_focus("factors-title")
    assert visit.sees("Recovery codes left: 10")
    assert visit.fits()
    assert violations(visit.page) == []

    visit.press("Sign out")
    sign_in(visit)
    assert violations(visit.page) == []
    visit.page.get_by_label("Code", exact=True).fill("wrong-code0")
    visit.press("Confirm")
    assert visit.sees("The code is wrong, or was used before.")
    assert not visit.page.is_visible("#signed-in")
    visit.page.get_by_label("Code", exact=True).fill(codes[0])
    visit.press("Confirm")

    assert visit.has_focus("who")
    visit.page.locator("#codes-left", has_text="Recovery codes left: 9").wait_for(state="attached")


def test_a_passkey_signs_in_alone_and_after_the_password_until_it_is_removed(open_page):
    visit = open_page(**DESK)
    page = visit.page
    visit.sign_up(visit.name)
    visit.press("Add a passkey")
    visit.press("I have saved them")
    visit.press("Add a passkey")
    assert visit.sees("This device already has a passkey for this account.")

    answer_by_itself(visit, enabled=False)  # so that autofill waits for the user, as it does in a browser
    visit.press("Sign out")
    sign_in(visit)
    answer_by_itself(visit, enabled=True)
    page.locator("#confirmation").get_by_role("button", name="Use a passkey").click()
    assert visit.has_focus("who")

    page.get_by_role("button", name="Rename Passkey").click()
    page.get_by_label("Name", exact=True).fill("Laptop")
    visit.press("Save")
    page.get_by_role("button", name="Remove Laptop").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Remove Laptop").click()
    page.locator("#remove").get_by_role("button", name="Remove").click()
    page.locator("#factors li").wait_for(state="detached")
    answer_by_itself(visit, enabled=False)
    visit.press("Sign out")
    page.locator("#in-username:visible").wait_for()
    answer_by_itself(visit, enabled=True)
    page.locator("#sign-in").get_by_role("button", name="Use a passkey").click()

    assert visit.sees("The passkey was not accepted.")


def test_autofill_signs_in_with_a_passkey(open_page):
    visit = open_page(**DESK)
    visit.sign_up(visit.name)
    visit.press("Add a passkey")
    visit.press("I have saved them")

    visit.press(
        "Sign out"
    )  # The virtual authenticator responds to the offer in autofill, as if its user chose the passkey.

    assert visit.sees("POST /api/auth/signin/passkey")
    assert visit.sees(f"Hello, {visit.name}")
    assert visit.page.get_attribute("#in-username", "autocomplete") == "username webauthn"


def test_a_change_asks_for_the_password_if_the_sign_in_is_not_recent(open_page):
    visit = open_page(**DESK, locale="de-DE")
    page = visit.page
    page.fill("#up-username", visit.name)
    page.fill("#up-email", f"{visit.name}@example.com")
    page.fill("#up-password", PASSWORD)
    page.keyboard.press("Enter")
    page.locator("#signed-in:visible").wait_for()
    refusal = {"code": "recent_authentication_required", "message": "Confirm your password."}
    page.route("**/factors/totp", lambda route: route.fulfill(status=403, json=refusal), times=1)

    page.locator("#add-app").focus()
    page.keyboard.press("Enter")
    page.locator("#confirmation[open]").wait_for()
    page.keyboard.type("wrong password")
    page.keyboard.press("Enter")
    page.locator("#confirmation-error:not(:empty)").wait_for()
    assert visit.has_focus("proof")
    page.keyboard.press("Control+A")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")

    page.locator("#app[open]").wait_for()
    assert visit.sees("Scannen Sie diesen Code mit der App.")
    page.keyboard.press("Escape")
    page.locator("#app").wait_for(state="hidden")
    assert visit.has_focus("add-app")
