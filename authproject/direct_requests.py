"""Receive requests and their bodies in granian's own thread instead of its event loop.

For each request, granian's thread wakes the event loop, which starts a task that ends with the response, and wakes
it again for the body. Neither needs the event loop, and no request needs it for its response: waking it took a
sixth of the CPU of a protected request, and a tenth of that of a refresh.

granian has no public interface for receiving requests so. If a version of it does not call the function that is
replaced here, requests arrive at the RSGI application as usual. The event loop can be chosen.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import uvloop
from granian import _futures, loops

_REPLACED = "_cbsched_aioschedule"  # returns the function that starts the task of a request


class DirectCallback:
    """A callback of a future that may be called in any thread, and must not wait."""

    __slots__ = ()

    def __call__(self, future: Any) -> None:
        """Process the result of the future. An exception is not reported."""
        raise NotImplementedError


class DirectLoop(uvloop.Loop):
    """An event loop that calls a `DirectCallback` at once, where others wake up to call it."""

    def call_soon_threadsafe(  # type: ignore[override]  # granian ignores the result
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> object:
        """Call a `DirectCallback` in this thread, or another callback in the thread of the event loop."""
        if isinstance(callback, DirectCallback):
            return callback(*args)
        return super().call_soon_threadsafe(callback, *args, context=context)


def use_direct_loop() -> None:
    """Make granian create a `DirectLoop` in each worker that it starts.

    With another loop, a `DirectCallback` works and costs more.
    """

    @loops.register("auto")
    def create_loop() -> asyncio.AbstractEventLoop:
        loop = DirectLoop()
        asyncio.set_event_loop(loop)
        return loop


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
