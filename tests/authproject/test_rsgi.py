"""Test the adapter without granian."""

import asyncio
import signal
from types import SimpleNamespace

import pytest

from accounts.sso import logout_dispatch
from authproject import rsgi


class Protocol:
    """Records the response."""

    def response_bytes(self, *response):
        self.response = response


@pytest.fixture
def application(monkeypatch):
    monkeypatch.setattr(rsgi, "receive_directly", lambda _: None)
    monkeypatch.setattr(
        logout_dispatch, "start_polling", lambda: None
    )  # in a thread, which would outlive the test
    return rsgi.Application()


def test_requests_may_also_arrive_in_the_event_loop(application):
    scope = SimpleNamespace(
        server="127.0.0.1:8000", client="127.0.0.1:4711", scheme="http", http_version="1.1", method="GET",
        path="/healthz", query_string="", authority=None, headers={"host": "localhost"},
    )  # fmt: skip
    protocol = Protocol()

    async def respond():
        loop = asyncio.get_running_loop()
        application.__rsgi_init__(loop)
        await application.__rsgi__(scope, protocol)
        await asyncio.to_thread(application.__rsgi_del__, loop)

    asyncio.run(respond())

    assert protocol.response[0] == 200


def test_a_signal_during_startup_waits_until_the_event_loop_runs(application):
    def blocked():
        return signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, [])

    async def start():
        loop = asyncio.get_running_loop()
        application.__rsgi_init__(loop)
        before = blocked()
        await asyncio.sleep(0)
        await asyncio.to_thread(application.__rsgi_del__, loop)
        return before, blocked()

    assert asyncio.run(start()) == (True, False)
