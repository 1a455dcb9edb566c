"""Serve the project of a peer (PEER) on PORT, with the same server as this service."""

import os

from granian.constants import Interfaces
from granian.server import Server

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.peers.settings"
    Server(
        "authproject.rsgi:application", address="127.0.0.1", port=int(os.environ["PORT"]), interface=Interfaces.RSGI,
        workers=1,
    ).serve()  # fmt: skip
