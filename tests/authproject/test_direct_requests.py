"""Test where requests arrive, which granian decides in code that is not public: a new version may change it."""

import subprocess
import sys

import httpx
import pytest

from tests.servers import ROOT, free_port, wait_until

SERVE = """
from granian.constants import Interfaces
from granian.server import Server
if __name__ == "__main__":
    Server("tests.authproject.direct_app:application", port={port}, interface=Interfaces.RSGI).serve()
"""


@pytest.fixture(scope="module")
def client():
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", SERVE.format(port=port)], cwd=ROOT)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_until(lambda: responds(client))
        yield client
    process.terminate()
    process.wait(timeout=30)


def responds(client):
    try:
        return client.get("/").is_success
    except httpx.ConnectError:
        return False


def test_only_requests_with_a_body_arrive_in_the_event_loop(client):
    assert client.get("/").text == "directly"
    assert client.post("/").text == "in the event loop"


def test_a_fault_in_the_receiver_affects_one_request_only(client):
    assert client.get("/fault").status_code == 500
    assert client.get("/").text == "directly"
