"""clients/js in Chromium, against a running server: storages, networks and tabs that fail."""

import time

import pytest

from tests.browsers import CHROMIUM
from tests.clients.tabs import BODY, COOKIES, code_and_status_of, sign_in, wait_for_event
from tests.factories import PASSWORD
from tests.servers import wait_until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

STATUS = "client.fetch('/api/test/user').then(({ status }) => status)"
FILL_STORAGE = """() => {
    for (let size = 2 ** 22; size >= 1; size = Math.floor(size / 2)) {
        try { for (;;) localStorage.setItem(`fill${Math.random()}`, "x".repeat(size)); } catch {}
    }
}"""
HOLD_LOCK = "void navigator.locks.request(`auth-client:${location.origin}/`, () => new Promise(() => {}))"
LOSE_REFRESHES = "() => { const now = Date.now; Date.now = () => now() + 880_000; }"
"""Set the clock so that the access token is about to expire."""

FRAME = """<!doctype html><title>x</title><iframe sandbox="allow-scripts" srcdoc="<script type=module>
    import { AuthClient, AuthError } from '%s/static/api/auth-client.js';
    const options = [{ storage: () => localStorage }, { transport: 'cookie' }];
    const clients = options.map((each) => new AuthClient({ url: '%s', ...each }));
    const isSignedOut = (await Promise.all(clients.map((client) => client.session()))).every((each) => each === null);
    const errors = clients.map((client) => client.signIn({ username: 'x', password: 'y' }).catch((error) => error));
    const codes = (await Promise.all(errors)).map((error) => error instanceof AuthError && error.code);
    parent.postMessage([isSignedOut, ...codes], '*');
</script>"></iframe><script>
    window.heard = new Promise((resolve) => addEventListener('message', ({ data }) => resolve(data)));
</script>"""


@pytest.fixture(autouse=True)
def _database_transaction():
    """Turn the database of the tests off: the server has its own."""


@pytest.fixture(scope="module")
def server(chromium, start_server):
    return start_server()


def hold(device):
    """Hold the next refresh of a device, after the service has executed it; return the list that gets its route."""
    held = []

    def handle(route):
        held.append((route, route.fetch()))

    device.context.route("**/refreshtoken", handle, times=1)
    return held


def wait_for_one(held, tab):
    deadline = time.monotonic() + 15
    while not held:
        assert time.monotonic() < deadline, "no refresh was sent"
        tab.wait_for_timeout(20)
    return held[0]


@pytest.mark.parametrize("call", ["signOut", "signOutEverywhere"])
def test_with_cookies_the_session_ends_although_the_storage_was_cleared(open_device, username, call):
    device = open_device()
    tab = device.tab(**COOKIES)
    sign_in(tab, username)
    tab.evaluate("localStorage.clear()")

    tab.evaluate(f"client.{call}()")

    assert wait_for_event(tab, "signedout storage_cleared")
    assert tab.evaluate("client.resume()") is None
    assert "__Secure-refresh" not in {cookie["name"] for cookie in device.context.cookies()}


@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_a_storage_that_is_cleared_in_the_only_tab_is_noticed(open_device, username, options):
    tab = open_device().tab(**options)
    sign_in(tab, username)

    tab.evaluate("localStorage.clear()")

    assert wait_for_event(tab, "signedout storage_cleared")


@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_the_page_of_a_captive_portal_changes_nothing(open_device, username, options):
    tab = open_device().tab(**options)
    sign_in(tab, username)
    tab.route("**/api/auth/**", lambda route: route.fulfill(body="<h1>Hotel</h1>", content_type="text/html"))

    fields = f"{{ username: {username!r}, password: {PASSWORD!r} }}"
    for call in (f"client.signIn({fields})", "client.refresh()", "client.signOutEverywhere()"):
        assert code_and_status_of(tab, call) == ["unexpected_answer", 200]

    tab.unroute("**/api/auth/**")
    assert tab.evaluate(STATUS) == 200
    assert tab.evaluate("received") == ["signedin", "refreshfailed"]


def test_with_cookies_a_sign_in_during_another_tab_s_refresh_remains(server, open_device, username):
    device = open_device()
    tabs = [device.tab(**COOKIES), device.tab(**COOKIES)]
    sign_in(tabs[0], username)
    server.sign_in(f"{username}b")
    held = hold(device)
    tabs[0].evaluate("() => { window.refreshing = client.refresh().catch(() => {}); }")
    route, response = wait_for_one(held, tabs[0])

    fields = {"username": f"{username}b", "password": PASSWORD}
    tabs[1].evaluate("(fields) => { window.signingIn = client.signIn(fields); }", fields)
    tabs[1].wait_for_timeout(200)
    route.fulfill(response=response)
    tabs[1].evaluate("signingIn")
    tabs[0].evaluate("refreshing")

    for tab in tabs:
        assert tab.evaluate("client.call('GET', 'auth/me')")["username"] == f"{username}b"


def test_with_a_full_storage_a_user_signs_in_and_refreshes(open_device, username):
    tab = open_device().tab(**BODY)
    tab.evaluate(FILL_STORAGE)

    sign_in(tab, username)
    for _ in range(2):
        tab.evaluate("client.refresh()")

    assert tab.evaluate(STATUS) == 200
    assert tab.evaluate("received") == ["signedin", "refreshed", "refreshed"]


def test_in_a_sandboxed_frame_the_client_throws_its_own_errors_only(server, open_device):
    page = open_device().context.new_page()
    here = f"http://localhost:{server.port}"
    html = FRAME % (here, here)
    page.route("**/frame", lambda route: route.fulfill(content_type="text/html", body=html))

    page.goto(f"{here}/frame")

    assert page.evaluate("heard") == [True, "network_error", "network_error"]


def test_a_call_is_aborted_at_once_while_its_refresh_goes_on(open_device, username):
    device = open_device()
    tab = device.tab(**BODY)
    sign_in(tab, username)
    held = hold(device)

    tab.evaluate(f"() => {{ window.refreshing = client.refresh(); ({LOSE_REFRESHES})(); }}")
    name = tab.evaluate("client.fetch('/', { signal: AbortSignal.timeout(50) }).catch(({ name }) => name)")
    assert name == "TimeoutError"

    route, response = wait_for_one(held, tab)
    route.fulfill(response=response)
    tab.evaluate("refreshing")
    assert len(device.refreshes) == 1


def test_tabs_without_a_network_share_one_failure(open_device, username):
    device = open_device()
    tabs = [device.tab(**BODY) for _ in range(4)]
    sign_in(tabs[0], username)
    for tab in tabs:
        tab.evaluate(LOSE_REFRESHES)
    device.context.set_offline(True)

    for tab in tabs:
        tab.evaluate(
            f"() => {{ window.failing = {STATUS}.catch(({{ code }}) => code).then((code) => [code, performance.now()]); }}"
        )
    results = [tab.evaluate("failing") for tab in tabs]

    # The access token is valid for seconds yet, so that the requests themselves fail.
    assert {code for code, _ in results} == {"network_error"}
    assert len(device.refreshes) == 4


def test_a_tab_that_keeps_the_lock_delays_others_by_seconds(open_device, username):
    device = open_device()
    tabs = [device.tab(**BODY), device.tab(**BODY)]
    sign_in(tabs[0], username)
    tabs[0].wait_for_timeout(200)
    tabs[0].evaluate(HOLD_LOCK)
    started_at = time.monotonic()

    tabs[1].evaluate("client.refresh()")
    tabs[1].evaluate("client.refresh()")

    assert 5 < time.monotonic() - started_at < 12


@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_a_tab_that_is_closed_during_a_refresh_does_not_end_the_session(server, open_device, username, options):
    device = open_device()
    tabs = [device.tab(**options), device.tab(**options)]
    sign_in(tabs[0], username)
    held = hold(device)
    tabs[0].evaluate("() => { client.refresh(); }")
    wait_for_one(held, tabs[0])

    tabs[0].close()

    assert wait_for_event(tabs[1], "refreshed")
    assert tabs[1].evaluate("client.refresh()")["user"]["username"] == username
    assert len(device.refreshes) == 3


def test_with_cookies_the_tokens_of_the_only_tab_are_stored_although_it_is_closed(open_device, username):
    device = open_device()
    tab = device.tab(**COOKIES)
    sign_in(tab, username)
    [before] = [cookie["value"] for cookie in device.context.cookies() if cookie["name"] == "__Secure-refresh"]
    held = hold(device)
    tab.evaluate("() => { client.refresh(); }")
    wait_for_one(held, tab)

    tab.close()

    wait_until(lambda: before not in [cookie["value"] for cookie in device.context.cookies()], seconds=10)


@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_a_granted_role_shows_after_the_next_refresh(server, open_device, username, options):
    tab = open_device().tab(**options)
    sign_in(tab, username)

    server.manage("grantrole", username, "moderator")
    assert tab.evaluate(STATUS) == 200

    assert tab.evaluate("client.session()")["user"]["roles"] == ["ROLE_MODERATOR", "ROLE_USER"]
