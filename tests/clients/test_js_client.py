"""clients/js: the client in a real browser, against the real server."""

import shutil
import subprocess

import pytest

from tests.browsers import CHROMIUM
from tests.factories import PASSWORD
from tests.servers import ROOT

NODE = shutil.which("node")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

START = """async (options) => {
    const { AuthClient } = await import("/static/api/auth-client.js");
    if (options.storage) options.storage = window[options.storage];
    window.client = new AuthClient(options);
    window.heard = [];
    for (const type of ["signedin", "refreshed", "refreshfailed", "signedout"]) {
        client.addEventListener(type, ({ detail }) => heard.push(detail.reason ? `${type} ${detail.reason}` : type));
    }
}"""
TWENTY = "Promise.all(Array.from({ length: 20 }, async () => (await client.fetch('/api/test/user')).status))"

WAITING = "navigator.locks ? navigator.locks.query().then(({ pending }) => pending.length) : 0"


@pytest.fixture(autouse=True)
def _database_transaction():
    """Give no test a database, in place of the fixture that does: the library runs a loop in this thread."""


@pytest.fixture(scope="module")
def server(chromium, start_server):
    return start_server()


class Device:
    """A browser with its own storage; it counts the refreshes of all its tabs."""

    def __init__(self, chromium, port):
        self.address = f"http://localhost:{port}"
        self.context = chromium.new_context()
        self.context.set_default_timeout(15000)
        self.refreshes = []
        self.context.on("request", self._count)

    def tab(self, **options):
        page = self.context.new_page()
        page.goto(f"{self.address}/verify-email")
        page.evaluate(START, options)
        return page

    def _count(self, request):
        if request.url.endswith("/refreshtoken"):
            self.refreshes.append(request.post_data)


@pytest.fixture
def device(chromium, server):
    made = []

    def make():
        made.append(Device(chromium, server.port))
        return made[-1]

    yield make
    for one in made:
        one.context.close()


@pytest.fixture
def name(server, request):
    made = f"user{abs(hash(request.node.nodeid))}"
    server.post("/api/auth/signup", {"username": made, "email": f"{made}@example.com", "password": PASSWORD})
    return made


def sign_in(page, name):
    page.evaluate("(fields) => client.signIn(fields)", {"username": name, "password": PASSWORD})


def heard(page, event):
    page.wait_for_function("(event) => heard.includes(event)", arg=event)
    return True


def error_of(page, call):
    return page.evaluate(f"{call}.then(() => null, ({{ code, status }}) => [code, status])")


def twenty_at_once(device, tabs):
    """Send twenty requests from each of two tabs, and let no refresh go before both wait for one."""
    held = []

    def hold(route):
        held.append(route)

    device.context.route("**/refreshtoken", hold, times=len(tabs))
    for tab in tabs:
        tab.evaluate(f"() => {{ window.statuses = {TWENTY}; }}")
    while len(held) + tabs[0].evaluate(WAITING) < len(tabs):
        tabs[0].wait_for_timeout(20)
    for route in held:
        route.continue_()
    return [set(tab.evaluate("statuses")) for tab in tabs]


BODY = {"storage": "localStorage"}
COOKIES = {"transport": "cookie"}


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_the_client_passes_its_own_tests():
    folder = ROOT / "clients/js"
    ran = subprocess.run([NODE, "--test"], cwd=folder, check=False, capture_output=True, text=True, timeout=120)

    assert ran.returncode == 0, ran.stdout
    assert "# pass 0" not in ran.stdout


@needs_chromium
@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_forty_requests_of_two_tabs_wait_for_one_refresh(server, device, name, options):
    one = device()
    tabs = [one.tab(**options), one.tab(**options)]
    sign_in(tabs[0], name)
    server.manage("grantrole", name, "moderator")  # the token is stale now

    assert twenty_at_once(one, tabs) == [{200}, {200}]
    assert len(one.refreshes) == 1
    assert tabs[1].evaluate("client.call('GET', 'test/mod')") == "Moderator Content."
    assert all(heard(tab, "refreshed") for tab in tabs)


@needs_chromium
@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_two_tabs_renew_a_token_once_before_it_ends(device, name, options):
    one = device()
    tabs = [one.tab(**options), one.tab(**options)]
    sign_in(tabs[0], name)
    for tab in tabs:
        tab.evaluate("() => { const now = Date.now; Date.now = () => now() + 880_000; }")

    assert twenty_at_once(one, tabs) == [{200}, {200}]
    assert len(one.refreshes) == 1


@needs_chromium
def test_without_web_locks_two_tabs_stay_signed_in(server, device, name):
    one = device()
    one.context.add_init_script("Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })")
    tabs = [one.tab(**BODY), one.tab(**BODY)]
    sign_in(tabs[0], name)

    server.manage("grantrole", name, "moderator")

    assert twenty_at_once(one, tabs) == [{200}, {200}]
    assert len(one.refreshes) == 2
    assert [set(tab.evaluate(TWENTY)) for tab in tabs] == [{200}, {200}]


@needs_chromium
def test_an_answer_that_is_lost_on_the_way_ends_nothing(server, device, name):
    one = device()
    tab = one.tab(**BODY)
    sign_in(tab, name)

    def lose(route):
        route.fetch()
        route.abort("connectionreset")

    tab.route("**/refreshtoken", lose, times=1)
    tab.evaluate("client.refresh()")

    assert len(one.refreshes) == 2
    assert one.refreshes[0] == one.refreshes[1]
    assert set(tab.evaluate(TWENTY)) == {200}


@needs_chromium
@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_who_signs_out_in_one_tab_is_signed_out_in_the_other(device, name, options):
    one = device()
    tabs = [one.tab(**options), one.tab(**options)]
    sign_in(tabs[0], name)
    assert heard(tabs[1], "signedin")

    tabs[0].evaluate("client.signOut()")

    assert heard(tabs[0], "signedout signed_out")
    assert heard(tabs[1], "signedout other_tab")
    assert set(tabs[1].evaluate(TWENTY)) == {401}


@needs_chromium
@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_a_sign_out_everywhere_ends_the_session_on_another_device(device, name, options):
    here, there = device().tab(**options), device().tab(**options)
    sign_in(here, name)
    sign_in(there, name)

    here.evaluate("client.signOutEverywhere()")

    assert heard(here, "signedout signed_out_everywhere")
    code, status = error_of(there, "client.fetch('/api/test/user')")
    assert (code, status) == ("refresh_token_revoked", 403)
    assert heard(there, "signedout refresh_token_revoked")
    assert there.evaluate("client.session()") is None


@needs_chromium
def test_with_cookies_no_script_sees_a_token(device, name):
    tab = device().tab(**COOKIES)
    sign_in(tab, name)

    seen = tab.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])")

    assert "authrt_" not in seen
    assert "eyJ" not in seen


@needs_chromium
def test_with_cookies_a_page_that_knows_nothing_takes_the_session_over(device, name):
    one = device()
    sign_in(one.tab(**COOKIES), name)
    other = one.tab(**COOKIES, storage="sessionStorage")
    assert other.evaluate("client.session()") is None

    assert other.evaluate("client.resume()")["user"]["username"] == name

    assert set(other.evaluate(TWENTY)) == {200}
    other.evaluate("client.signOut()")
    assert other.evaluate("client.resume()") is None


@needs_chromium
@pytest.mark.parametrize("options", [BODY, COOKIES], ids=["body", "cookies"])
def test_a_password_that_is_confirmed_lets_the_user_do_more(device, name, options):
    tab = device().tab(**options)
    sign_in(tab, name)

    assert error_of(tab, "client.reauthenticate('wrong')") == ["invalid_password", 403]
    tab.evaluate("(password) => client.reauthenticate(password)", PASSWORD)

    tab.evaluate("client.call('DELETE', 'auth/me')")
    assert error_of(tab, "client.refresh()")[1] == 403


@needs_chromium
def test_refusals_are_told_by_code_field_and_wait(server, device, name):
    tab = device().tab()

    assert error_of(tab, "client.signIn({ username: 'nobody', password: 'x' })") == ["invalid_credentials", 401]
    sent = {"username": "x y", "email": "none", "password": "short"}
    fields = tab.evaluate("(sent) => client.signUp(sent).catch(({ errors }) => Object.keys(errors))", sent)
    assert "email" in fields
    guess = {"username": name, "password": "wrong"}
    wait = "(guess) => client.signIn(guess).catch(({ retryAfter }) => retryAfter)"
    assert [tab.evaluate(wait, guess) for _ in range(11)][-1] > 0
