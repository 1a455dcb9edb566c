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
def cut_off(port: str) -> None:
    """Tell the sockets of this process that belong to a port; once, for it is asked with each request."""
    if not hasattr(socket, "TCP_USER_TIMEOUT") or not _DESCRIPTORS.is_dir():
        return  # no Linux
    for name in [entry.name for entry in _DESCRIPTORS.iterdir()]:
        with contextlib.suppress(OSError):  # no socket, or closed since
            _tell(int(name), int(port))


def _tell(descriptor: int, port: int) -> None:
    found = socket.socket(fileno=descriptor)
    try:
        if found.family in {socket.AF_INET, socket.AF_INET6} and found.getsockname()[1] == port:
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, READ_TIMEOUT * 1000)
    finally:
        found.detach()  # it is the server's
