"""Browsers with tabs that have created the JavaScript client, as `client`, and record its events in `received`."""

from tests.factories import PASSWORD

START = """async (options) => {
    const { AuthClient } = await import("/static/api/auth-client.js");
    if (options.storage) options.storage = window[options.storage];
    window.client = new AuthClient(options);
    window.received = [];
    for (const type of ["signedin", "refreshed", "refreshfailed", "signedout"]) {
        client.addEventListener(type, ({ detail }) => received.push(detail.reason ? `${type} ${detail.reason}` : type));
    }
}"""

BODY = {"storage": "localStorage"}
COOKIES = {"transport": "cookie"}


class Device:
    """A browser with its own storage, which records the refreshes of all its tabs."""

    def __init__(self, chromium, port):
        self.address = f"http://localhost:{port}"
        self.context = chromium.new_context()
        self.context.set_default_timeout(15000)
        self.refreshes = []
        self.context.on("request", self._record_refresh)

    def tab(self, **options):
        page = self.context.new_page()
        page.goto(f"{self.address}/verify-email")
        page.evaluate(START, options)
        return page

    def _record_refresh(self, request):
        if request.url.endswith("/refreshtoken"):
            self.refreshes.append(request.post_data)


def sign_in(page, username):
    page.evaluate("(fields) => client.signIn(fields)", {"username": username, "password": PASSWORD})


def wait_for_event(page, event):
    page.wait_for_function("(event) => received.includes(event)", arg=event)
    return True


def code_and_status_of(page, call):
    return page.evaluate(f"{call}.then(() => null, ({{ code, status }}) => [code, status])")
