"""The admin in a real browser: navigation, confirmation pages, and layout."""

import pytest

from tests.browsers import CHROMIUM
from tests.factories import PASSWORD

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture that opens a database transaction: Playwright runs an event loop in this thread."""


@pytest.fixture
def server(start_server):
    running = start_server(DJANGO_SUPERUSER_PASSWORD=PASSWORD)
    running.manage("createsuperuser", "--noinput", "--username", "root", "--email", "root@example.com")
    for name in ("alice", "bob"):
        running.sign_in(name)
    return running


@pytest.fixture
def page(chromium):
    tab = chromium.new_page()
    tab.set_default_timeout(15000)
    yield tab
    tab.close()


def sign_in(page):
    page.fill("[name=username]", "root")
    page.fill("[name=password]", PASSWORD)
    page.click("[type=submit]")


def test_an_administrator_finds_and_revokes_live_sessions_by_clicking(server, page):
    page.goto(f"http://localhost:{server.port}/admin/")
    sign_in(page)
    assert page.inner_text("#figures tr:has-text('Live') td") == "2"

    page.click("#figures a:has-text('Live')")
    page.check("#action-toggle")
    page.select_option("[name=action]", "revoke_selected")
    page.click("button[name=index]")
    assert page.inner_text("#content h1") == "Revoke 2 sessions"
    page.click("[name=confirmed]")

    assert "2 sessions were revoked" in page.inner_text(".messagelist")
    page.click("a:has-text('Home')")
    assert page.inner_text("#figures tr:has-text('Live') td") == "0"


def test_a_button_on_a_user_s_page_can_be_canceled(server, page):
    page.goto(f"http://localhost:{server.port}/admin/accounts/user/?q=alice")
    sign_in(page)
    page.click("#result_list th a")

    page.click("[value='Revoke all sessions…']")
    assert page.inner_text("#content h1") == "Revoke 1 session of alice"
    page.click("a:has-text('Cancel')")
    assert page.inner_text("#content h1") == "User alice"

    page.click("[value='Revoke all sessions…']")
    page.click("[name=confirmed]")

    assert "1 session of alice was revoked." in page.inner_text(".messagelist")


def heading_is_above_buttons(page):
    heading, buttons = (
        page.locator(selector).first.bounding_box() for selector in ("#content h1", ".object-tools")
    )
    return heading["y"] + heading["height"] <= buttons["y"]


@pytest.mark.parametrize("width", [360, 1280])
def test_buttons_do_not_overlap_a_long_name(server, page, width):
    name = "a-username-that-is-longer-than-most-names"
    server.sign_in(name)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"http://localhost:{server.port}/admin/accounts/refreshtoken/?q={name}")
    sign_in(page)
    page.click("#result_list th a")
    assert heading_is_above_buttons(page)
    page.click(".object-tools a:text-is('Owner')")
    assert heading_is_above_buttons(page)


def test_the_user_filter_has_an_accessible_name(server, page):
    page.goto(f"http://localhost:{server.port}/admin/accounts/refreshtoken/")
    sign_in(page)

    page.get_by_role("combobox", name="Any user").wait_for()
