"""The admin in a real browser: navigation, confirmation pages, layout at four widths, and accessibility."""

from importlib.resources import files
from pathlib import Path

import pytest

from tests.browsers import CHROMIUM
from tests.factories import PASSWORD

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

WIDTHS = [360, 768, 1280, 1440]
HAS_CUT_CELL = "(cells) => cells.some((cell) => cell.scrollWidth > cell.clientWidth)"
FIRST_ROW = "#result_list tbody tr:first-child th a"
LISTS = {
    "sessions": ["accounts/refreshtoken/"],
    "users": ["accounts/user/"],
    "applications": ["accounts/application/"],
    "services": ["accounts/service/"],
    "invitations": ["accounts/invitation/"],
    "history": ["accounts/activity/"],
    "groups": ["auth/group/"],
}
PAGES = {
    "first page": [""],
    "app": ["accounts/"],
    "own password": ["password_change/"],
    "session": ["accounts/refreshtoken/?state=live", FIRST_ROW],
    "revoke session": ["accounts/refreshtoken/?state=live", FIRST_ROW, "[value='Revoke this session…']"],
    "delete session": ["accounts/refreshtoken/", FIRST_ROW, ".deletelink"],
    "log of changes": ["accounts/refreshtoken/", FIRST_ROW, "text=Log of changes"],
    "revoke sessions": [
        "accounts/refreshtoken/",
        "#action-toggle",
        "option=revoke_selected",
        "button[name=index]",
    ],
    "user": ["accounts/user/?q=käthe", FIRST_ROW, "summary"],
    "password of a user": ["accounts/user/?q=käthe", FIRST_ROW, "text=change password"],
    "revoke all sessions": ["accounts/user/?q=käthe", FIRST_ROW, "[value='Revoke all sessions…']"],
    "force a reset": ["accounts/user/?q=käthe", FIRST_ROW, "[value='Force a password reset…']"],
    "delete user": ["accounts/user/?q=käthe", FIRST_ROW, ".deletelink"],
    "add user": ["accounts/user/add/"],
    "deactivate users": ["accounts/user/", "#action-toggle", "option=deactivate_selected", "button[name=index]"],
    "session of an application": ["accounts/refreshtoken/?application=-browser-", FIRST_ROW],
    "application": ["accounts/application/", FIRST_ROW],
    "add application": ["accounts/application/add/"],
    "deactivate application": ["accounts/application/", FIRST_ROW, "[value='Deactivate…']"],
    "service": ["accounts/service/", FIRST_ROW],
    "replace secret": ["accounts/service/", FIRST_ROW, "[value='Generate a new secret…']"],
    "delete service": ["accounts/service/", FIRST_ROW, ".deletelink"],
    "add service": ["accounts/service/add/"],
    "invitation": ["accounts/invitation/", FIRST_ROW],
    "invite": ["accounts/invitation/add/"],
}


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture that opens a database transaction: Playwright runs an event loop in this thread."""


@pytest.fixture(scope="module")
def server(start_server):
    running = start_server(DJANGO_SUPERUSER_PASSWORD=PASSWORD)
    running.manage("createsuperuser", "--noinput", "--username", "root", "--email", "root@example.com")
    running.manage("shell", "-c", (Path(__file__).parent / "admin_rows.py").read_text())
    return running


@pytest.fixture(scope="module")
def page(chromium, server):
    """Return a tab in which an administrator is signed in."""
    tab = chromium.new_page(reduced_motion="reduce")  # no color is in transition when axe reads it
    tab.set_default_timeout(15000)
    tab.goto(f"http://localhost:{server.port}/admin/")
    tab.fill("[name=username]", "root")
    tab.fill("[name=password]", PASSWORD)
    tab.click("[type=submit]")
    tab.locator("#user-tools").wait_for()
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def axe():
    return files("axe_playwright_python").joinpath("axe.min.js").read_text()


def visit(page, server, path, *clicks, width=1280):
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"http://localhost:{server.port}/admin/{path}")
    for target in clicks:
        if target.startswith("option="):
            page.select_option("[name=action]", target.removeprefix("option="))
        else:
            page.click(target)
            page.wait_for_load_state()


def violations(page, axe, *rules):
    """Return what axe reports, for all rules or for the given ones."""
    page.evaluate(axe)
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = page.evaluate("(options) => axe.run(options)", options)["violations"]
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found]


def hidden_width(page, selector):
    """Return how many pixels of an element's content do not fit."""
    return page.evaluate(
        "(selector) => { const e = document.querySelector(selector); return e.scrollWidth - e.clientWidth; }",
        selector,
    )


@pytest.mark.parametrize("name", PAGES | LISTS)
def test_axe_reports_no_violation(page, server, axe, name):
    visit(page, server, *(PAGES | LISTS)[name])

    assert violations(page, axe) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, axe, "color-contrast") == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert hidden_width(page, "html") == 0


def test_axe_reports_no_violation_on_the_sign_in_page(chromium, server, axe):
    tab = chromium.new_page(viewport={"width": 360, "height": 740}, reduced_motion="reduce")
    tab.goto(f"http://localhost:{server.port}/admin/")
    tab.fill("[name=username]", "root")
    tab.fill("[name=password]", "wrong")
    tab.click("[type=submit]")
    tab.locator(".errornote").wait_for()

    assert violations(tab, axe) == []
    tab.emulate_media(color_scheme="dark")
    assert violations(tab, axe, "color-contrast") == []
    assert hidden_width(tab, "html") == 0
    tab.close()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", LISTS)
def test_no_column_of_a_list_is_out_of_sight(page, server, name, width):
    visit(page, server, *LISTS[name], width=width)

    assert hidden_width(page, ".results") == 0
    if width >= 1280:
        assert page.locator("#result_list :is(th, td)").evaluate_all(HAS_CUT_CELL) is False
    assert hidden_width(page, "html") == 0


def test_every_page_has_an_icon_a_title_and_a_language(page, server):
    visit(page, server, "accounts/user/")

    icon = page.locator("link[rel=icon]").evaluate("(link) => link.href")
    assert page.request.get(icon).headers["content-type"] == "image/svg+xml"
    assert page.title() == "Users | Token authentication"
    assert page.locator("html").get_attribute("lang") == "en"


def test_an_administrator_finds_and_revokes_live_sessions_by_clicking(page, server):
    server.sign_in("alice"), server.sign_in("alice")
    visit(page, server, "")
    live = int(page.inner_text("#figures tr:has-text('Live') td"))

    page.click("#figures a:has-text('Live')")
    page.fill("#searchbar", "alice")
    page.press("#searchbar", "Enter")
    page.check("#action-toggle")
    page.select_option("[name=action]", "revoke_selected")
    page.click("button[name=index]")
    assert page.inner_text("#content h1") == "Revoke 2 sessions of alice"
    page.click("[name=confirmed]")

    assert "2 sessions were revoked" in page.inner_text(".messagelist")
    page.click("a:has-text('Home')")
    assert int(page.inner_text("#figures tr:has-text('Live') td")) == live - 2


def test_a_button_on_a_user_s_page_can_be_canceled(page, server):
    server.sign_in("bob")
    visit(page, server, "accounts/user/?q=bob", FIRST_ROW)

    page.click("[value='Revoke all sessions…']")
    assert page.inner_text("#content h1") == "Revoke 1 session of bob"
    page.click("a:has-text('Cancel')")
    assert page.inner_text("#content h1") == "User bob"

    page.click("[value='Revoke all sessions…']")
    page.click("[name=confirmed]")

    assert "1 session of bob was revoked." in page.inner_text(".messagelist")


def test_the_reason_for_the_end_of_a_session_is_shown_on_hover(page, server):
    visit(page, server, "accounts/refreshtoken/?reason=reused")

    assert page.locator(".field-state .badge").first.get_attribute("title") == "refresh token reused"


@pytest.mark.parametrize("width", [360, 1280])
def test_buttons_do_not_overlap_a_long_name(page, server, width):
    visit(page, server, "accounts/refreshtoken/?q=long-", FIRST_ROW, width=width)
    assert heading_is_above_buttons(page)
    page.click(".object-tools a:text-is('Owner')")
    assert heading_is_above_buttons(page)


def heading_is_above_buttons(page):
    heading, buttons = (
        page.locator(selector).first.bounding_box() for selector in ("#content h1", ".object-tools")
    )
    return heading["y"] + heading["height"] <= buttons["y"]


def test_the_user_filter_has_an_accessible_name(page, server):
    visit(page, server, "accounts/refreshtoken/")

    page.get_by_role("combobox", name="Any user").wait_for()
