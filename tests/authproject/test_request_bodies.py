"""Test the reading of bodies of known length, without granian."""

import gc
import weakref
from types import SimpleNamespace

import pytest
from granian.rsgi import ProtocolClosed

from authproject import request_bodies
from authproject.rejections import RequestRejected
from authproject.request_bodies import BODY_TIMEOUT, DirectBodies, has_known_length
from authproject.request_threads import FAILED


class Body:
    """A future of granian: its result is the body, or raised."""

    def __init__(self):
        self.is_cancelled = False

    def add_done_callback(self, callback):
        self.callback = callback

    def cancel(self):
        self.is_cancelled = True

    def result(self):
        if isinstance(self.body, Exception):
            raise self.body
        return self.body

    def arrive(self, body):
        self.body = body
        self.callback(self)


class Submitted(list):
    """The bodies that were submitted. `fault` is raised instead."""

    fault = None

    def __call__(self, scope, body, reply):
        if self.fault is not None:
            raise self.fault
        self.append(body)


def scope_with(**headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(
        server="127.0.0.1:8000", client="127.0.0.1:4711", scheme="http", http_version="1.1", method="POST",
        path="/api/auth/signin", query_string="", authority=None, headers={"host": "localhost", **named},
    )  # fmt: skip


@pytest.fixture
def now(monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(request_bodies, "monotonic", lambda: now.seconds)
    return now


@pytest.fixture
def submitted():
    return Submitted()


@pytest.fixture
def bodies(submitted):
    return DirectBodies(submitted)


@pytest.fixture
def expected(bodies, now):
    """The future of a body that is expected, and the responses to its request."""
    body, replies = Body(), []
    bodies.expect(scope_with(content_length="5"), lambda: body, replies.append)
    return body, replies


def test_a_body_is_submitted_when_it_has_arrived(expected, submitted):
    body, replies = expected
    assert submitted == []

    body.arrive(b"hello")

    assert submitted == [b"hello"]
    assert replies == []


def test_an_empty_body_is_submitted_without_being_read(bodies, submitted):
    bodies.expect(scope_with(content_length="000"), pytest.fail, pytest.fail)

    assert submitted == [b""]


def test_a_late_body_is_rejected_once_and_never_submitted(bodies, expected, submitted, now):
    body, replies = expected
    bodies.reject_overdue()
    assert replies == []

    now.seconds += BODY_TIMEOUT + 2**-10
    bodies.reject_overdue()
    bodies.reject_overdue()
    body.arrive(b"hello")

    assert [reply.status for reply in replies] == [408]
    assert body.is_cancelled
    assert submitted == []


def test_a_body_that_arrived_in_time_is_not_late_afterwards(bodies, expected, now):
    body, replies = expected
    body.arrive(b"hello")

    now.seconds += 2 * BODY_TIMEOUT
    bodies.reject_overdue()

    assert replies == []


def test_a_broken_body_is_rejected(expected, submitted):
    body, replies = expected

    body.arrive(ProtocolClosed())

    assert [reply.status for reply in replies] == [400]
    assert submitted == []


def test_a_request_whose_body_is_lost_by_a_fault_gets_a_response(expected, submitted, caplog):
    body, replies = expected
    submitted.fault = RuntimeError()

    body.arrive(b"hello")

    assert replies == [FAILED]
    assert "lost" in caplog.text


@pytest.mark.parametrize("content", [b"hello", ProtocolClosed()])
def test_a_body_is_released_without_garbage_collection_which_does_not_find_granians_objects(bodies, content):
    futures = [Body()]
    bodies.expect(scope_with(content_length="5"), lambda: futures[0], lambda reply: None)
    gc.disable()
    try:
        futures[0].arrive(content)
        released = weakref.ref(futures[0])
        futures.clear()
        assert released() is None
    finally:
        gc.enable()


def test_a_body_that_is_announced_as_too_long_is_not_read(bodies):
    with pytest.raises(RequestRejected) as caught:
        bodies.expect(scope_with(content_length=str(10**18)), pytest.fail, pytest.fail)

    assert caught.value.response.status == 413


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        ({"content_length": "5"}, True),
        ({"content_length": "5", "transfer_encoding": "chunked"}, False),
        ({"transfer_encoding": "chunked"}, False),
        ({}, False),
    ],
)
def test_the_length_is_known_if_it_is_announced_and_the_body_is_not_in_chunks(headers, known):
    assert has_known_length(scope_with(**headers)) is known
