"""Drop connections whose client stops reading the response, using `TCP_USER_TIMEOUT` (Linux only).

granian waits for such clients forever and accepts a bounded number of connections, so a thousand of them would
make the service unreachable. granian creates its listening socket itself and does not expose it, so this module
finds it among the process's file descriptors. Accepted connections inherit the option from the listening socket.
"""

import contextlib
import socket
from functools import cache
from pathlib import Path

READ_TIMEOUT = 20  # seconds in which the client acknowledges no data

_DESCRIPTORS = Path("/proc/self/fd")


@cache
def set_tcp_user_timeout(port: str) -> None:
    """Set the timeout on the sockets of this process that are bound to `port`. Cached: called for each request."""
    if not hasattr(socket, "TCP_USER_TIMEOUT") or not _DESCRIPTORS.is_dir():
        return  # not Linux
    for name in [entry.name for entry in _DESCRIPTORS.iterdir()]:
        with contextlib.suppress(OSError):  # not a socket, or closed in the meantime
            _set_timeout(int(name), int(port))


def _set_timeout(descriptor: int, port: int) -> None:
    listener = socket.socket(fileno=descriptor)
    try:
        if listener.family in {socket.AF_INET, socket.AF_INET6} and listener.getsockname()[1] == port:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, READ_TIMEOUT * 1000)
    finally:
        listener.detach()  # keep the server's descriptor open
