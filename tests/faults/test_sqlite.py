"""Test a running service whose SQLite database cannot be written: full disk, file size limit, read-only file, lock."""

import contextlib
import resource
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.environment import ON_POSTGRESQL
from tests.factories import PASSWORD
from tests.servers import Server, environment, repeat_concurrently

pytestmark = pytest.mark.skipif(ON_POSTGRESQL, reason="needs SQLite")

UNAVAILABLE = (503, True)


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture of conftest.py: these tests use only the database of the server."""


@pytest.fixture
def disk(tmp_path):
    """Mount a tmpfs of 16 MiB for the database."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_setup, django_db_blocker):
    folder = tmp_path_factory.mktemp("faults")
    yield from running_server(folder, folder, django_db_blocker)


def running_server(tmp_path, folder, django_db_blocker):
    settings = {"DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}", "AUTH_ACCOUNT_LIMIT": ""}
    running = Server(environment(tmp_path, django_db_blocker, **settings), tmp_path / "log")
    yield running
    assert running.stop() == 0


@pytest.fixture
def server_on_disk(tmp_path, disk, django_db_setup, django_db_blocker):
    yield from running_server(tmp_path, disk, django_db_blocker)


@contextlib.contextmanager
def limited_file_size(server):
    """Limit the file size of the workers to that of the WAL file, which for SQLite is like a full disk."""
    log = Path(server.environment["DATABASE_URL"].removeprefix("sqlite:///") + "-wal")
    original_limits = {worker: worker.rlimit(resource.RLIMIT_FSIZE) for worker in server.workers()}
    for worker, (_, highest) in original_limits.items():
        worker.rlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, highest))
    try:
        yield
    finally:
        for worker, limits in original_limits.items():
            worker.rlimit(resource.RLIMIT_FSIZE, limits)


@contextlib.contextmanager
def full_disk(folder):
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    try:
        yield
    finally:
        ballast.unlink()


def writes(server, pair):
    name = pair["username"]
    account = {"username": f"{name}2", "email": f"{name}2@example.com", "password": PASSWORD}
    return [
        ("/api/auth/refreshtoken", {"refreshToken": pair["refreshToken"]}),
        ("/api/auth/signin", {"username": name, "password": PASSWORD}),
        ("/api/auth/signup", account),
        ("/api/auth/signout", {"refreshToken": pair["refreshToken"]}),
    ]


def assert_writes_get_503_and_reads_succeed(server, pair):
    bearer = {"Authorization": f"Bearer {pair['accessToken']}"}
    for path, body in writes(server, pair) * 3:
        status, headers, content = server.exchange("POST", path, body)
        assert (status, int(headers.get("Retry-After", 0)) > 0) == UNAVAILABLE, (path, content)
    for path in ("/readyz", "/api/test/user", "/api/auth/sessions", "/api/auth/me", "/admin/login/"):
        assert {server.request("GET", path, **bearer)[0] for _ in range(4)} == {200}, path


def assert_recovered(server, pair):
    status, successor = server.refresh(pair)
    assert (status, server.content(successor)) == (200, 200), successor
    assert set(repeat_concurrently(8, lambda _: server.refresh(successor)[0])) == {200}
    assert server.sign_in(f"{pair['username']}9")


def test_with_a_file_size_limit_writes_get_503_and_reads_succeed(server):
    pair = server.sign_in("bob")

    with limited_file_size(server):
        assert_writes_get_503_and_reads_succeed(server, pair)

    assert_recovered(server, pair)


def test_on_a_full_disk_writes_get_503_and_reads_succeed(server_on_disk, disk):
    pair = server_on_disk.sign_in("alice")

    with full_disk(disk):
        assert_writes_get_503_and_reads_succeed(server_on_disk, pair)

    assert_recovered(server_on_disk, pair)


@contextlib.contextmanager
def read_only_file(server):
    """Set a file format version that this SQLite may only read. Unlike file permissions, this also applies to root."""
    path = Path(server.environment["DATABASE_URL"].removeprefix("sqlite:///"))
    write_version = 18
    for version in (b"\3", b"\2"):
        assert server.stop() == 0
        with path.open("r+b") as file:
            file.seek(write_version)
            file.write(version)
        server.start()
        if version == b"\3":
            yield


def test_with_a_read_only_file_writes_get_503_and_reads_succeed(server):
    pair = server.sign_in("carol")

    with read_only_file(server):
        assert_writes_get_503_and_reads_succeed(server, pair)

    assert_recovered(server, pair)


def test_while_another_process_holds_the_lock_writes_get_503_and_reads_succeed(server):
    pair = server.sign_in("dave")
    path = server.environment["DATABASE_URL"].removeprefix("sqlite:///")

    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        responses = repeat_concurrently(4, lambda _: server.refresh(pair)[0])
        assert {server.content(pair) for _ in range(10)} == {200}

    assert set(responses) == {503}
    assert_recovered(server, pair)
