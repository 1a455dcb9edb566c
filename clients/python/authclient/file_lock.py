"""Lock a file against other threads and processes. The lock ends with the process that holds it."""

import sys
import time

POLL_INTERVAL = 0.05  # seconds; the calls of the operating system that wait have no time limit

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def release(descriptor: int) -> None:
        """Release the lock on an open file."""
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(descriptor: int) -> None:
        """Release the lock on an open file, also if a forked process has inherited it."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def acquire(descriptor: int, timeout: float) -> bool:
    """Lock an open file; return whether that succeeded within `timeout` seconds.

    Raises OSError if the file system does not support locks.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            _lock(descriptor)
        except (BlockingIOError, PermissionError):  # another holds the lock; the second error is that of Windows
            if time.monotonic() > deadline:
                return False
        else:
            return True
        time.sleep(POLL_INTERVAL)
