"""The documentation page in a real browser."""

import pytest

from tests.browser.axe import violations
from tests.browsers import CHROMIUM

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

DESK = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture that opens a database transaction: Playwright runs an event loop in this thread."""


@pytest.fixture(scope="module")
def server(chromium, start_server):
    return start_server()


@pytest.fixture
def open_page(chromium, server):
    """Return a function that opens the page. Its scripts must not violate the page's policy or fail."""
    contexts, complaints, origins = [], [], set()
    origin = f"http://localhost:{server.port}"

    def open_with(**device):
        contexts.append(chromium.new_context(**device))
        page = contexts[-1].new_page()
        page.set_default_timeout(15000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if "Policy" in message.text else None)
        page.on("request", lambda request: origins.add("/".join(request.url.split("/")[:3])))
        page.goto(f"{origin}/api/docs")
        page.locator(".opblock").first.wait_for()
        return page

    yield open_with
    for context in contexts:
        context.close()
    assert complaints == []
    assert origins == {origin}


@pytest.mark.parametrize("device", [DESK, PHONE], ids=["desk-light", "phone-dark"])
def test_axe_reports_no_violations(open_page, device):
    page = open_page(**device)
    assert violations(page) == []

    page.click("#operations-auth-signIn .opblock-control-arrow")
    page.click("#operations-auth-signIn .try-out__btn")
    page.click("#operations-auth-signIn .execute")
    page.locator(".live-responses-table").get_by_text("invalid_credentials").first.wait_for()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    page.click(".btn.authorize")
    page.locator(".modal-ux input:focus").wait_for()
    assert violations(page) == []


def test_the_page_follows_the_color_scheme_and_leads_back_to_the_start_page(open_page):
    page = open_page(**PHONE)
    backgrounds = (
        "['body', '.opblock'].map((one) => getComputedStyle(document.querySelector(one)).backgroundColor)"
    )
    dark = page.evaluate(backgrounds)

    page.emulate_media(color_scheme="light")
    light = page.evaluate(backgrounds)
    page.get_by_role("link", name="Start page").click()

    assert all(before != after for before, after in zip(dark, light, strict=True))
    assert page.get_by_role("heading", name="Try it").is_visible()
