"""clients/js: second factors and passkeys in Chromium with its virtual authenticator, against a running server."""

import shutil
import subprocess
import time
from base64 import b32decode

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.browsers import CHROMIUM
from tests.clients.tabs import BODY, COOKIES, code_and_status_of, sign_in
from tests.factories import PASSWORD
from tests.servers import ROOT

NODE = shutil.which("node")
# Safari before 18.4 can neither parse the service's options nor serialize a credential.
WITHOUT_JSON = """for (const method of ["parseCreationOptionsFromJSON", "parseRequestOptionsFromJSON"])
    delete PublicKeyCredential[method];
delete PublicKeyCredential.prototype.toJSON;"""
LIBRARY = "/static/api/simplewebauthn.js"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(autouse=True)
def _database_transaction():
    """Turn the database of the tests off: the server has its own."""


@pytest.fixture(scope="module")
def server(chromium, start_server):
    return start_server()


@pytest.fixture
def open_tab(open_device):
    """Return a function that opens a tab with a virtual authenticator and a client that has passkeys."""

    def open_(init_script="", **options):
        device = open_device()
        device.context.add_init_script(init_script)
        tab = device.tab(**options)
        add_authenticator(device.context, tab)
        tab.evaluate(
            """async (options) => {
                const { AuthClient } = await import("/static/api/factors.js");
                if (options.storage) options.storage = window[options.storage];
                window.client = new AuthClient(options);
            }""",
            options,
        )
        return tab

    return open_


def add_authenticator(context, page):
    """Give the page a platform authenticator, whose user is always present and verified."""
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    return session, session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]


def challenge_of(tab, username):
    """Sign in with the password, and leave the challenge in the page as `challenge`."""
    fields = {"username": username, "password": PASSWORD}
    return tab.evaluate(
        "async (fields) => (window.challenge = (await client.signIn(fields)).secondFactor) ?? null", fields
    )


@pytest.mark.parametrize(
    ("options", "init_script"),
    [(BODY, ""), (COOKIES, ""), (BODY, WITHOUT_JSON)],
    ids=["body", "cookies", "without-json"],
)
def test_a_passkey_signs_in_alone_or_with_the_password_until_it_is_removed(
    open_tab, username, options, init_script
):
    tab = open_tab(init_script, **options)
    sign_in(tab, username)
    enrolled = tab.evaluate("client.passkeys.register('Laptop')")
    assert (enrolled["type"], len(enrolled["recoveryCodes"])) == ("passkey", 10)
    assert code_and_status_of(tab, "client.passkeys.register('Again')") == ["passkey_exists", 0]

    tab.evaluate("client.signOut()")
    assert tab.evaluate("client.passkeys.signIn()")["user"]["username"] == username

    tab.evaluate("client.signOut()")
    assert challenge_of(tab, username)["factors"] == ["passkey", "recovery_code"]
    assert tab.evaluate("client.session()") is None
    assert tab.evaluate("client.passkeys.completeSignIn(challenge)")["user"]["username"] == username

    tab.evaluate("client.passkeys.stepUp()")
    [factor] = tab.evaluate("client.factors.list()")["factors"]
    assert tab.evaluate("(id) => client.factors.rename(id, 'Old')", factor["id"])["name"] == "Old"
    tab.evaluate("(id) => client.factors.remove(id)", factor["id"])

    tab.evaluate("client.signOut()")
    assert code_and_status_of(tab, "client.passkeys.signIn()") == ["invalid_credentials", 401]
    assert challenge_of(tab, username) is None
    assert tab.evaluate("client.session()")["user"]["username"] == username


def test_autofill_offers_a_passkey_until_another_call_ends_the_offer(open_tab, username):
    tab = open_tab(**BODY)
    sign_in(tab, username)
    tab.evaluate("client.passkeys.register()")
    tab.evaluate("client.signOut()")
    assert tab.evaluate("client.passkeys.supportsAutofill()")

    assert tab.evaluate("client.passkeys.signIn({ conditional: true })")["user"]["username"] == username


def test_a_code_and_a_recovery_code_complete_a_sign_in_and_a_wrong_one_does_not(open_tab, username):
    tab = open_tab(**COOKIES)
    sign_in(tab, username)
    app = tab.evaluate("client.factors.addAuthenticator('Phone')")
    totp = TOTP(b32decode(app["secret"]), 6, SHA1(), 30)
    confirm = "([id, code]) => client.factors.confirmAuthenticator(id, code)"
    codes = tab.evaluate(confirm, [app["id"], totp.generate(int(time.time())).decode()])["recoveryCodes"]
    tab.evaluate("client.signOut()")
    assert challenge_of(tab, username)["factors"] == ["totp", "recovery_code"]

    wrong = code_and_status_of(tab, "client.completeSignIn(challenge, { code: '000000' })")
    assert wrong == ["invalid_code", 403]
    tab.evaluate("(code) => client.completeSignIn(challenge, { recoveryCode: code })", codes[0])

    assert tab.evaluate("client.factors.list()")["recoveryCodesLeft"] == 9
    next_code = totp.generate(int(time.time()) + 30).decode()  # The code of this step is used up.
    tab.evaluate("(code) => client.stepUp({ code })", next_code)
    assert len(tab.evaluate("client.factors.renewRecoveryCodes()")) == 10


@pytest.fixture(scope="module")
def simplewebauthn(tmp_path_factory):
    """Return `@simplewebauthn/browser` from npm as one module."""
    if NODE is None:
        pytest.skip("Node is not installed")
    folder = tmp_path_factory.mktemp("library") / "js"
    shutil.copytree(ROOT / "clients/js", folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    command = ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    if subprocess.run(command, cwd=folder, check=False, timeout=300).returncode:
        pytest.skip("npm cannot install the library")
    bundled = folder / "simplewebauthn.js"
    build = ["npx", "rolldown", "node_modules/@simplewebauthn/browser/esm/index.js", "--file", bundled]
    subprocess.run(build, cwd=folder, check=True, capture_output=True, timeout=60)
    return bundled


def test_a_webauthn_library_from_npm_registers_and_signs_in(open_tab, username, simplewebauthn):
    tab = open_tab(**BODY)
    tab.route(f"**{LIBRARY}", lambda route: route.fulfill(path=simplewebauthn))
    sign_in(tab, username)

    tab.evaluate(
        """async (library) => {
            const { startRegistration } = await import(library);
            const optionsJSON = await client.call("POST", "auth/factors/passkeys/options");
            const credential = await startRegistration({ optionsJSON });
            await client.call("POST", "auth/factors/passkeys", { credential, name: "Laptop" });
            await client.signOut();
        }""",
        LIBRARY,
    )
    answer = tab.evaluate(
        """async (library) => {
            const { startAuthentication } = await import(library);
            const post = async (path, body) => (await fetch(`/api/auth/${path}`, {
                method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
            })).json();
            const optionsJSON = await post("signin/passkey/options", {});
            return post("signin/passkey", { credential: await startAuthentication({ optionsJSON }) });
        }""",
        LIBRARY,
    )

    assert answer["username"] == username
