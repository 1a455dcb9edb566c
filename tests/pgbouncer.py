"""Run PgBouncer in transaction mode in front of a PostgreSQL cluster of the tests."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.servers import free_port, wait_until

needs_pgbouncer = pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs PgBouncer")

# Two connections to the server, so that transactions of one client alternate between them.
_CONFIGURATION = """
[databases]
* = host={socket}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""


@contextmanager
def pooled(url, database):
    """Yield the URL of `database` of a cluster, at `url`, through PgBouncer."""
    socket = parse_qs(urlsplit(url).query)["host"][0]
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="auth-pgbouncer-"))
    folder.chmod(0o755)
    configuration = folder / "pgbouncer.ini"
    # With authentication `any`, the user of the server is named in the configuration.
    text = _CONFIGURATION.format(socket=f"{socket} user=auth", port=port)
    configuration.write_text(text)
    # PgBouncer does not run as root, and only the cluster's user can reach its socket.
    user = ["-u", Path(socket).owner()] if os.geteuid() == 0 else []
    process = subprocess.Popen(["pgbouncer", "--quiet", *user, str(configuration)])
    try:
        pooled_url = f"postgresql://auth:@127.0.0.1:{port}/{database}"
        wait_until(lambda: process.poll() is None and _connects(pooled_url))
        yield pooled_url
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(folder)


def _connects(url):
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
