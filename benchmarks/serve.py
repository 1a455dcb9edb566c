"""Serve the project of a peer (PEER) on PORT with WORKERS processes, as SERVER says.

- `granian`: granian's WSGI interface, with two threads per worker like this project. Its default of 256 threads would open as
  many connections to the database.
- `gunicorn`: as its documentation says: synchronous workers, two per core and one more, whatever WORKERS is.
"""

import os
import sys

from granian.constants import Interfaces
from granian.server import Server

APPLICATION = "benchmarks.peers.wsgi:application"


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.peers.settings"
    port, workers = int(os.environ["PORT"]), int(os.environ["WORKERS"])
    if os.environ["SERVER"] == "gunicorn":
        workers = 2 * (os.cpu_count() or 1) + 1
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            APPLICATION,
            f"--workers={workers}",
            f"--bind=127.0.0.1:{port}",
        ]
        os.execv(sys.executable, command)
    Server(
        APPLICATION,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=2,
    ).serve()


if __name__ == "__main__":
    main()
