"""Serve the project of a peer (PEER, or this project if it is empty) on PORT with WORKERS processes, as SERVER says.

- `granian`: granian's WSGI interface, with two threads per worker like this project. Its default of 256 threads would open as
  many connections to the database.
- `nginx`: the same, behind nginx, which reads the whole body of a request before it passes it on.
- `gunicorn`: as its documentation says: synchronous workers, two per core and one more, whatever WORKERS is.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from granian.constants import Interfaces
from granian.server import Server

_NGINX = """
daemon off; pid {folder}/pid; error_log stderr crit; worker_processes {workers};
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream application {{ server 127.0.0.1:{behind}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port}; keepalive_requests 10000000;
    location / {{ proxy_pass http://application; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_set_header Host $http_host; }}
  }}
}}
"""


def main() -> None:
    peer, server = os.environ["PEER"], os.environ["SERVER"]
    port, workers = int(os.environ["PORT"]), int(os.environ["WORKERS"])
    package = "benchmarks.peers" if peer else "authproject"
    os.environ["DJANGO_SETTINGS_MODULE"] = f"{package}.settings"
    application = f"{package}.wsgi:application"
    if server == "gunicorn":
        serve_with_gunicorn(application, port)
    if server == "nginx":
        with behind_nginx(port, workers) as port_behind:
            serve_with_granian(application, port_behind, workers)
    else:
        serve_with_granian(application, port, workers)


def serve_with_granian(application: str, port: int, workers: int) -> None:
    Server(
        application,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=2,
    ).serve()


def serve_with_gunicorn(application: str, port: int) -> None:
    workers = 2 * (os.cpu_count() or 1) + 1
    command = [sys.executable, "-m", "gunicorn", application, f"--workers={workers}", f"--bind=127.0.0.1:{port}"]
    os.execv(sys.executable, command)


@contextmanager
def behind_nginx(port: int, workers: int) -> Iterator[int]:
    """Run nginx as a child, whose CPU time counts as the server's; yield the port that it passes requests to."""
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as folder:
        Path(folder).chmod(0o755)  # nginx's workers have another user
        file = Path(folder, "nginx.conf")
        file.write_text(_NGINX.format(folder=folder, port=port, behind=port + 1000, workers=workers))
        nginx = subprocess.Popen(["nginx", "-c", str(file), "-e", "stderr"])
        try:
            yield port + 1000
        finally:
            nginx.terminate()
            nginx.wait(timeout=30)


if __name__ == "__main__":
    main()
