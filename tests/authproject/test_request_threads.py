"""Test the threads that respond to requests, without a server."""

from queue import SimpleQueue
from threading import Event

import pytest

from authproject.request_threads import FAILED, Request, RequestThreads, WsgiResponse


class Responder:
    """Responds to each request with its body, or raises it. Waits while `gate` is closed."""

    def __init__(self):
        self.gate = Event()
        self.gate.set()
        self.begun = SimpleQueue()

    def __call__(self, request):
        self.begun.put(request.body)
        self.gate.wait()
        if isinstance(request.body, BaseException):
            raise request.body
        return WsgiResponse(200, [], request.body)


@pytest.fixture
def responder():
    return Responder()


@pytest.fixture
def threads(responder):
    threads = RequestThreads("test", 1, responder)
    threads.start()
    yield threads
    responder.gate.set()
    threads.stop()


@pytest.fixture
def replies():
    return SimpleQueue()


def test_requests_are_responded_to_in_order(threads, replies):
    for body in (b"a", b"b"):
        threads.submit(Request(None, body, replies.put))

    assert [replies.get(timeout=10).body, replies.get(timeout=10).body] == [b"a", b"b"]


def test_whatever_a_view_raises_the_thread_responds_and_continues(threads, replies):
    threads.submit(Request(None, SystemExit(), replies.put))
    threads.submit(Request(None, b"next", replies.put))

    assert replies.get(timeout=10) == FAILED
    assert replies.get(timeout=10).body == b"next"


def test_an_overdue_request_that_no_thread_has_begun_is_never_begun(threads, responder, replies):
    responder.gate.clear()
    requests = [Request(None, body, replies.put) for body in (b"begun", b"waiting", b"later")]
    for request in requests:
        threads.submit(request)
    assert responder.begun.get(timeout=10) == b"begun"
    for request in requests[:2]:
        request.deadline = 0

    assert set(threads.remove_overdue()) == set(requests[:2])

    responder.gate.set()
    assert responder.begun.get(timeout=10) == b"later"
    assert threads.remove_overdue() == []


def test_stopping_waits_for_the_requests_that_were_submitted(threads, replies):
    for _ in range(5):
        threads.submit(Request(None, b"x", replies.put))

    threads.stop()

    assert replies.qsize() == 5
