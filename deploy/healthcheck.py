"""Exit with 0 if the server on this machine is ready."""

import os
import socket
from http import HTTPStatus
from http.client import HTTPConnection

port = int(os.environ.get("PORT", "8000"))
connection = HTTPConnection("127.0.0.1", port, timeout=8)
host = os.environ.get("HOST", "")
if host.startswith("unix:"):
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(8)
    connection.sock.connect(host.removeprefix("unix:"))
connection.request("GET", "/readyz")
raise SystemExit(connection.getresponse().status != HTTPStatus.OK)
