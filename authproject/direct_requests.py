"""Receive requests in granian's own thread instead of its event loop.

For each request, granian's thread wakes the event loop, which starts a task that ends with the response. A request
that has no body needs no event loop, and no request needs it for its response: waking it took a sixth of the CPU
of a protected request. granian has no public interface for this. If a version of it does not call the function
that is replaced here, requests arrive at the RSGI application as usual.
"""

from collections.abc import Callable
from typing import Any

from granian import _futures

_REPLACED = "_cbsched_aioschedule"  # returns the function that starts the task of a request


def receive_directly(receive: Callable[[Any, Any], None]) -> None:
    """Make granian call `receive`, which must not wait, with the scope and the protocol of each request."""
    if not hasattr(_futures, _REPLACED):
        return

    def schedule(watcher: Any) -> None:
        try:
            receive(watcher.scope, watcher.proto)
        except BaseException as error:  # noqa: BLE001  granian would continue with an exception set
            watcher.err(error)

    setattr(_futures, _REPLACED, lambda *_: schedule)
