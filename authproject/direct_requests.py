"""Receive requests in granian's own thread instead of its event loop.

For each request, granian's thread wakes the event loop, which starts a task. A request that has no body needs no
event loop, and waking it took a sixth of the CPU of a protected request. granian has no public interface for this.
If it no longer calls the function that is replaced here, requests arrive in the event loop.
"""

from collections.abc import Callable, Collection
from typing import Any

from granian import _futures

_REPLACED = "_cbsched_aioschedule"  # returns the function that starts the task of a request


def receive_directly(receive: Callable[[Any, Any], None], *, except_methods: Collection[str]) -> None:
    """Make this process's granian call `receive` with the scope and the protocol of each request.

    `receive` must not wait. Requests with one of `except_methods` go to the event loop.
    """
    build_schedule = getattr(_futures, _REPLACED, None)
    if build_schedule is None:
        return

    def build_direct_schedule(*arguments: Any) -> Callable[[Any], None]:
        schedule = build_schedule(*arguments)

        def schedule_directly(watcher: Any) -> None:
            if watcher.scope.method in except_methods:
                schedule(watcher)
                return
            try:
                receive(watcher.scope, watcher.proto)
            except BaseException as error:  # noqa: BLE001  granian would continue with an exception set
                watcher.err(error)

        return schedule_directly

    setattr(_futures, _REPLACED, build_direct_schedule)
