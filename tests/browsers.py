"""Run headless Chromium."""

import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--host-resolver-rules=MAP *.test 127.0.0.1",
    # Pages that a test generates have no address, so that Chromium would ask before they connect to this machine.
    "--disable-features=LocalNetworkAccessChecks",
]  # fmt: skip


@contextmanager
def running_chromium():
    with pytest.MonkeyPatch.context() as patch:
        # Playwright runs an event loop in this thread, in which Django would refuse to create the databases of servers.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            yield browser
            browser.close()
