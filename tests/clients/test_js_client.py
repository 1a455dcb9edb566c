"""clients/js: the client in Chromium, against a running server."""

import shutil
import subprocess

import pytest

from tests.browsers import CHROMIUM
from tests.clients.tabs import BODY, COOKIES, code_and_status_of, sign_in, wait_for_event
from tests.factories import PASSWORD
from tests.servers import ROOT

NODE = shutil.which("node")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

TWENTY_REQUESTS = (
    "Promise.all(Array.from({ length: 20 }, async () => (await client.fetch('/api/test/user')).status))"
)

TABS_WAITING_FOR_THE_LOCK = "navigator.locks ? navigator.locks.query().then(({ pending }) => pending.length) : 0"


@pytest.fixture(autouse=True)
def _database_transaction():
    """Turn the database of the tests off: the server has its own."""


@pytest.fixture(scope="module")
def server(chromium, start_server):
    return start_server()


def twenty_at_once(device, tabs):
    """Send twenty requests from each tab, and hold refreshes until every tab waits for one."""
    held = []

    def hold(route):
        held.append(route)

    device.context.route("**/refreshtoken", hold, times=len(tabs))
    for tab in tabs:
        tab.evaluate(f"() => {{ window.statuses = {TWENTY_REQUESTS}; }}")
    while not held or len(held) + tabs[0].evaluate(TABS_WAITING_FOR_THE_LOCK) < len(tabs):
        tabs[0].wait_for_timeout(20)
    for route in held:
        route.continue_()
    return [set(tab.evaluate("statuses")) for tab in tabs]


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_the_client_s_own_tests_pass():
    folder = ROOT / "clients/js"
    done = subprocess.run([NODE, "--test"], cwd=folder, check=False, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout
    assert "# pass 0" not in done.stdout


@needs_chromium
@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_forty_requests_from_two_tabs_wait_for_one_refresh(server, open_device, username, options):
    device = open_device()
    tabs = [device.tab(**options), device.tab(**options)]
    sign_in(tabs[0], username)
    server.manage("grantrole", username, "moderator")  # makes the token stale

    assert twenty_at_once(device, tabs) == [{200}, {200}]
    assert len(device.refreshes) == 1
    assert tabs[1].evaluate("client.call('GET', 'test/mod')") == "Moderator Content."
    assert all(wait_for_event(tab, "refreshed") for tab in tabs)


@needs_chromium
@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_two_tabs_refresh_an_expiring_token_once(open_device, username, options):
    device = open_device()
    tabs = [device.tab(**options), device.tab(**options)]
    sign_in(tabs[0], username)
    for tab in tabs:
        tab.evaluate("() => { const now = Date.now; Date.now = () => now() + 880_000; }")

    assert twenty_at_once(device, tabs) == [{200}, {200}]
    assert len(device.refreshes) == 1


@needs_chromium
def test_without_web_locks_two_tabs_stay_signed_in(server, open_device, username):
    device = open_device()
    device.context.add_init_script("Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })")
    tabs = [device.tab(**BODY), device.tab(**BODY)]
    sign_in(tabs[0], username)

    server.manage("grantrole", username, "moderator")

    assert twenty_at_once(device, tabs) == [{200}, {200}]
    assert len(device.refreshes) == 2
    assert [set(tab.evaluate(TWENTY_REQUESTS)) for tab in tabs] == [{200}, {200}]


@needs_chromium
def test_a_lost_response_to_a_refresh_does_not_end_the_session(server, open_device, username):
    device = open_device()
    tab = device.tab(**BODY)
    sign_in(tab, username)

    def drop_response(route):
        route.fetch()
        route.abort("connectionreset")

    tab.route("**/refreshtoken", drop_response, times=1)
    tab.evaluate("client.refresh()")

    assert len(device.refreshes) == 2
    assert device.refreshes[0] == device.refreshes[1]
    assert set(tab.evaluate(TWENTY_REQUESTS)) == {200}


@needs_chromium
@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_a_sign_out_in_one_tab_signs_out_the_other(open_device, username, options):
    device = open_device()
    tabs = [device.tab(**options), device.tab(**options)]
    sign_in(tabs[0], username)
    assert wait_for_event(tabs[1], "signedin")

    tabs[0].evaluate("client.signOut()")

    assert wait_for_event(tabs[0], "signedout signed_out")
    assert wait_for_event(tabs[1], "signedout other_tab")
    assert set(tabs[1].evaluate(TWENTY_REQUESTS)) == {401}


@needs_chromium
@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_a_sign_out_everywhere_ends_the_session_on_another_device(open_device, username, options):
    here, there = open_device().tab(**options), open_device().tab(**options)
    sign_in(here, username)
    sign_in(there, username)

    here.evaluate("client.signOutEverywhere()")

    assert wait_for_event(here, "signedout signed_out_everywhere")
    code, status = code_and_status_of(there, "client.fetch('/api/test/user')")
    assert (code, status) == ("refresh_token_revoked", 403)
    assert wait_for_event(there, "signedout refresh_token_revoked")
    assert there.evaluate("client.session()") is None


@needs_chromium
def test_with_cookies_no_script_can_read_a_token(open_device, username):
    tab = open_device().tab(**COOKIES)
    sign_in(tab, username)

    readable = tab.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])")

    assert "authrt_" not in readable
    assert "eyJ" not in readable


@needs_chromium
def test_with_cookies_a_page_without_stored_state_can_resume_the_session(open_device, username):
    device = open_device()
    sign_in(device.tab(**COOKIES), username)
    other_tab = device.tab(**COOKIES, storage="sessionStorage")
    assert other_tab.evaluate("client.session()") is None

    assert other_tab.evaluate("client.resume()")["user"]["username"] == username

    assert set(other_tab.evaluate(TWENTY_REQUESTS)) == {200}
    other_tab.evaluate("client.signOut()")
    assert other_tab.evaluate("client.resume()") is None


@needs_chromium
@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_a_user_who_confirmed_the_password_can_delete_the_account(open_device, username, options):
    tab = open_device().tab(**options)
    sign_in(tab, username)

    assert code_and_status_of(tab, "client.reauthenticate('wrong')") == ["invalid_password", 403]
    tab.evaluate("(password) => client.reauthenticate(password)", PASSWORD)

    tab.evaluate("client.call('DELETE', 'auth/me')")
    assert code_and_status_of(tab, "client.refresh()")[1] == 403


@needs_chromium
def test_errors_have_a_code_field_errors_and_the_time_to_wait(server, open_device, username):
    tab = open_device().tab()

    assert code_and_status_of(tab, "client.signIn({ username: 'nobody', password: 'x' })") == [
        "invalid_credentials",
        401,
    ]
    sent = {"username": "x y", "email": "none", "password": "short"}
    fields = tab.evaluate("(sent) => client.signUp(sent).catch(({ errors }) => Object.keys(errors))", sent)
    assert "email" in fields
    wrong = {"username": username, "password": "wrong"}
    retry_after = "(wrong) => client.signIn(wrong).catch(({ retryAfter }) => retryAfter)"
    assert [tab.evaluate(retry_after, wrong) for _ in range(11)][-1] > 0
