"""clients/js in Chromium: tabs that do things in random order while storages, networks, clocks and servers fail.

The seed is in the name of the test, and repeated with CLIENT_MODEL_SEED. CLIENT_MODEL_SECONDS sets how long each test runs.
"""

import json
import os
import random  # noqa: TID251  the order of a test is no secret
import time

import pytest

from tests.browsers import CHROMIUM
from tests.clients.tabs import BODY, COOKIES, Device
from tests.factories import PASSWORD
from tests.servers import wait_until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

SECONDS = float(os.environ.get("CLIENT_MODEL_SECONDS", "12"))
SEED = int(os.environ.get("CLIENT_MODEL_SEED", random.randrange(10**6)))
ENDS_SESSIONS = {"signOut", "signOutEverywhere", "clear"}
ACTIONS = {
    "refresh": 6, "request": 6, "aborted": 2, "jump": 2, "signOut": 2, "signOutEverywhere": 1, "clear": 1,
}  # fmt: skip
JUMPS = [0, 880_000, 86_400_000, -3_600_000]
"""Milliseconds by which the clock of a tab differs from that of the service."""

ACT = """async (password) => {
    const { AuthError } = await import("/static/api/auth-client.js");
    const now = Date.now;
    const request = (signal) => client.fetch("/api/test/user", { signal }).then(({ status }) => status);
    const actions = {
        signIn: (username) => client.signIn({ username, password }),
        signOut: () => client.signOut(),
        signOutEverywhere: () => client.signOutEverywhere(),
        refresh: () => client.refresh(),
        request: () => request(),
        aborted: () => request(AbortSignal.timeout(Math.random() * 50)),
        clear: async () => localStorage.clear(),
        jump: async (milliseconds) => { Date.now = () => now() + milliseconds; },
    };
    window.act = (name, argument) => actions[name](argument).then(
        () => "ok",
        (error) => (error instanceof AuthError ? error.code : error?.name === "TimeoutError" ? "aborted" : String(error)),
    );
    const show = ({ detail }) => { window.shown = detail.user.username; };
    client.addEventListener("signedin", show);
    client.addEventListener("refreshed", show);
    client.addEventListener("signedout", () => { window.shown = null; });
    window.shown = (await client.session())?.user.username ?? null;
}"""
CHECK = """async () => {
    const before = shown;
    const status = await client.fetch("/api/test/user").then(({ status }) => status, ({ code }) => code);
    const user = (await client.session())?.user.username ?? null;
    return { before, status, after: shown, user };
}"""
CODES = {"ok", "signed_out", "network_error", "unexpected_answer", "token_missing", "token_revoked", "token_stale"}


@pytest.fixture(autouse=True)
def _database_transaction():
    """Turn the database of the tests off: the server has its own."""


@pytest.fixture(scope="module")
def server(chromium, start_server):
    # Browsers on a busy machine must not exceed the grace period.
    return start_server(AUTH_REFRESH_TOKEN_GRACE="60")


class Model:
    """Tabs of one browser, and whether the user must be signed in there. None: it is not known."""

    def __init__(self, chromium, server, options, seed):
        self.random = random.Random(seed)
        self.server = server
        self.device = Device(chromium, server.port)
        self.options = options
        self.page_errors = []
        self.tabs = []
        self.username = f"model{seed}{options.get('transport', 'body')}"
        self.expected = None
        self.log = []
        self.may_restart = True
        self.watcher = server.sign_in(self.username)
        self.lost = 0
        """How many sessions may be alive although no tab has them."""

        for _ in range(2):
            self.open_tab()

    def open_tab(self):
        tab = self.device.tab(**self.options)
        tab.on("pageerror", lambda error: self.page_errors.append(str(error)))
        tab.evaluate(ACT, PASSWORD)
        self.tabs.append(tab)

    def step(self):
        """Let some tabs act at once, under a fault; then check the invariants."""
        chosen = self.random.sample(self.tabs, self.random.randint(1, len(self.tabs)))
        actions = [self.choose(tab) for tab in chosen]
        fault = self.random.choices([None, "offline", "lose", "close"], [10, 1, 3, 2])[0]
        self.log.append(([*actions], fault))
        self.apply(fault)
        for tab, (name, argument) in zip(chosen, actions, strict=True):
            tab.evaluate("([name, argument]) => { window.running = act(name, argument); }", [name, argument])
        unknown = self.close(chosen, actions) if fault == "close" and len(self.tabs) > 1 else None
        results = [tab.evaluate("running") for tab in chosen]
        self.log.append(results)
        self.recover(fault)
        self.learn(list(zip([name for name, _ in actions], results, strict=True)), unknown)
        self.check(results)

    def close(self, chosen, actions):
        """Close a tab that is acting; return its action, whose result is unknown."""
        tab = chosen.pop()
        self.tabs.remove(tab)
        tab.close()
        return actions.pop()[0]

    def choose(self, tab):
        if tab.evaluate("shown") is None and self.random.random() < 0.7:
            return ("signIn", self.username)
        name = self.random.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        return (name, self.random.choice(JUMPS) if name == "jump" else None)

    def apply(self, fault):
        if fault == "offline":
            self.device.context.set_offline(True)
        if fault == "lose":
            self.device.context.route("**/refreshtoken", lose, times=1)

    def recover(self, fault):
        if fault == "offline":
            self.device.context.set_offline(False)
        if fault == "lose":
            self.device.context.unroute("**/refreshtoken")
        if len(self.tabs) < 3 and self.random.random() < 0.5:
            self.open_tab()
        if self.may_restart and self.random.random() < 0.05:
            self.may_restart = False
            self.log.append("restart")
            assert self.server.stop() == 0
            self.server.start()

    def learn(self, done, unknown):
        names = {name for name, _ in done} | {unknown}
        sign_ins = done.count(("signIn", "ok")) + (unknown == "signIn")
        if ("signOutEverywhere", "ok") in done and not sign_ins:
            self.lost = 0
        # Tokens are deleted, replaced by those of another tab, or on their way to a tab that is closed.
        self.lost += sum(name == "clear" or (name == "signOut" and result != "ok") for name, result in done)
        self.lost += max(0, sign_ins - 1) + (unknown in {"signIn", "signOut", "clear"})
        if names & ENDS_SESSIONS:
            self.expected = None
        elif ("signIn", "ok") in done:
            self.expected = True
        elif unknown == "signIn":
            self.expected = None

    def check(self, results):
        assert set(results) <= CODES | {"aborted"} | {
            code for code in results if code.startswith("refresh_token_")
        }
        assert self.page_errors == []
        checks = [tab.evaluate(CHECK) for tab in self.tabs]
        self.log.append(checks)
        for each in checks:
            # After one request, no tab shows a user without a session. A tab may learn of a sign-in meanwhile.
            assert each["status"] == 200 or None in {each["before"], each["after"]}, each
            assert each["after"] == each["user"], each
        if self.expected:
            assert {each["status"] for each in checks} == {200}, checks
        assert self.count_live_sessions() <= 1 + self.lost
        wait_until(lambda: len({tab.evaluate("shown") for tab in self.tabs}) == 1, seconds=5)

    def count_live_sessions(self):
        """Return how many sessions of the user are alive, without that of this test."""
        authorization = f"Bearer {self.watcher['accessToken']}"
        status, content = self.server.request("GET", "/api/auth/sessions", Authorization=authorization)
        if status != 200:
            self.watcher = self.server.sign_in(self.username)
            return self.count_live_sessions()
        return len(json.loads(content)) - 1


def lose(route):
    """Lose the response to a request that the service has executed."""
    route.fetch()
    route.abort("connectionreset")


@pytest.mark.parametrize("options", [BODY, COOKIES], ids=[f"body-seed-{SEED}", f"cookies-seed-{SEED}"])
def test_tabs_stay_consistent_whatever_happens(chromium, server, options):
    model = Model(chromium, server, options, SEED)
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            model.step()
    except BaseException as error:
        error.add_note("\n".join(map(str, model.log)))
        raise
    finally:
        model.device.context.close()
