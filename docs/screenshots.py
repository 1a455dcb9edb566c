"""Take the pictures of the README: `make screenshots`.

Starts the service on a free port with an empty SQLite database, signs users in, and writes PNG files to
`docs/images/`. Needs Chromium (`apt-get install chromium`) and the test requirements.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
PASSWORD = "correct horse battery"  # noqa: S105  of accounts that exist while the pictures are taken
START_TIMEOUT = 60  # seconds
VIEWPORT = {"width": 1280, "height": 800}
_WEBKIT = "AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"
DEVICES = {
    "alice": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "ben": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
    "chandra": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Edg/140.0.0.0",
}


@contextlib.contextmanager
def running_service() -> Iterator[str]:
    """Start the service on an empty database; yield its URL and stop it afterwards."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        probe.close()
        environment = {
            **os.environ,
            "PORT": port,
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "AUTH_KEYS_DIR": f"{folder}/keys",
            "SECRET_KEY": "for-screenshots-only-" * 3,
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        }
        for command in (
            "migrate --verbosity 0",
            "collectstatic --noinput --verbosity 0",
            "createsuperuser --noinput --username admin --email admin@example.com",
        ):
            manage(command, environment)
        server = subprocess.Popen([sys.executable, "manage.py", "serve"], cwd=ROOT, env=environment)
        try:
            url = f"http://localhost:{port}"
            wait_until_ready(url)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=30)


def manage(command: str, environment: dict[str, str]) -> None:
    """Run a management command."""
    subprocess.run([sys.executable, "manage.py", *command.split()], cwd=ROOT, env=environment, check=True)  # noqa: S603


def wait_until_ready(url: str) -> None:
    """Wait until the service is ready.

    Raises TimeoutError after START_TIMEOUT.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(URLError), urlopen(f"{url}/readyz"):  # noqa: S310  our own address
            return
        time.sleep(0.2)
    raise TimeoutError(f"{url} is not ready after {START_TIMEOUT} seconds")


def post(url: str, body: dict[str, str], user_agent: str) -> dict[str, str]:
    """Send a JSON body; return the response's fields."""
    headers = {"Content-Type": "application/json", "User-Agent": user_agent}
    request = Request(url, json.dumps(body).encode(), headers)  # noqa: S310  our own address
    with urlopen(request) as response:  # noqa: S310
        content = response.read()
    return json.loads(content) if content else {}


def fill_session_list(url: str) -> None:
    """Sign users in from several devices; revoke one session by replaying its refresh token."""
    for name, user_agent in DEVICES.items():
        account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        post(f"{url}/api/auth/signup", account, user_agent)
        pairs = [post(f"{url}/api/auth/signin", account, user_agent) for _ in range(2)]
        if name == "chandra":
            post(f"{url}/api/auth/signout", {"refreshToken": pairs[0]["refreshToken"]}, user_agent)


def take_start_page(browser: Browser, url: str) -> None:
    """Take the start page, signed in, after one refresh and one protected request."""
    page = browser.new_page(viewport=VIEWPORT, device_scale_factor=2)
    page.goto(url)
    page.locator("#in-username").fill("alice")
    page.locator("#in-password").fill(PASSWORD)
    page.locator("#sign-in button").click()
    page.locator("#who").wait_for()
    page.locator("#refresh").click()
    page.locator("#generations li").nth(1).wait_for()
    page.locator("#calls button").nth(1).click()
    page.get_by_text("User Content.").first.wait_for()
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=IMAGES / "start-page.png")


def take_session_list(browser: Browser, url: str) -> None:
    """Take the admin's list of sessions."""
    page = browser.new_page(viewport={"width": 1280, "height": 700}, device_scale_factor=2)
    page.goto(f"{url}/admin/login/?next=/admin/accounts/refreshtoken/")
    page.locator("#id_username").fill("admin")
    page.locator("#id_password").fill(PASSWORD)
    page.locator("[type=submit]").click()
    page.locator("#result_list").wait_for()
    page.screenshot(path=IMAGES / "admin-sessions.png")


def main() -> None:
    """Take all pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is not installed. Install it with: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with running_service() as url, sync_playwright() as playwright:
        fill_session_list(url)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        take_start_page(browser, url)
        take_session_list(browser, url)


if __name__ == "__main__":
    main()
