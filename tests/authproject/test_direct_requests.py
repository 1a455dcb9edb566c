"""Test where requests arrive, which granian decides in code that is not public: a new version may change it."""

import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

from tests.servers import ROOT, free_port, wait_until

SERVE = """
from granian.constants import Interfaces
from granian.server import Server
from authproject.direct_requests import use_direct_loop
if __name__ == "__main__":
    {prepare}
    Server("tests.authproject.direct_app:application", port={port}, interface=Interfaces.RSGI).serve()
"""


@contextmanager
def served(prepare):
    port = free_port()
    command = [sys.executable, "-c", SERVE.format(prepare=prepare, port=port)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            wait_until(lambda: responds(client))
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


def responds(client):
    try:
        return client.get("/").is_success
    except httpx.ConnectError:
        return False


@pytest.fixture(scope="module")
def client():
    with served("use_direct_loop()") as client:
        yield client


def test_no_request_arrives_in_the_event_loop(client):
    assert client.get("/").text == "directly"
    assert client.post("/", content=b"x").text == "directly"


def test_no_body_arrives_in_the_event_loop(client):
    assert client.post("/body", content=b"hello").text == "hello directly"


def test_with_another_loop_bodies_arrive_in_it():
    with served("pass") as client:
        assert client.post("/body", content=b"hello").text == "hello in the event loop"


def test_a_fault_in_the_receiver_affects_one_request_only(client):
    assert client.get("/fault").status_code == 500
    assert client.get("/").text == "directly"
