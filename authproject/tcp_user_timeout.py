"""Has the kernel cut off clients that do not read what they are answered.

The server waits for them without end and has a bounded number of places: a thousand such connections would shut
everybody out. It makes its listening socket itself and hands it to nobody, so it is looked for among the process's
own: what a listening socket is told holds for each connection that comes in by it.
"""

import contextlib
import socket
from functools import cache
from pathlib import Path

READ_TIMEOUT = 20  # seconds in which nothing of an answer was taken

_DESCRIPTORS = Path("/proc/self/fd")


@cache
def set_tcp_user_timeout(port: str) -> None:
    """Tell the sockets of this process that belong to a port; once, for it is asked with each request."""
    if not hasattr(socket, "TCP_USER_TIMEOUT") or not _DESCRIPTORS.is_dir():
        return  # no Linux
    for name in [entry.name for entry in _DESCRIPTORS.iterdir()]:
        with contextlib.suppress(OSError):  # no socket, or closed since
            _set_timeout(int(name), int(port))


def _set_timeout(descriptor: int, port: int) -> None:
    listener = socket.socket(fileno=descriptor)
    try:
        if listener.family in {socket.AF_INET, socket.AF_INET6} and listener.getsockname()[1] == port:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, READ_TIMEOUT * 1000)
    finally:
        listener.detach()  # it is the server's
