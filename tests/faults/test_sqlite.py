"""A SQLite whose disk is full, or that takes no more writes, under a running service."""

import contextlib
import resource
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.environment import ON_POSTGRESQL
from tests.factories import PASSWORD
from tests.servers import Server, at_once, environment

pytestmark = pytest.mark.skipif(ON_POSTGRESQL, reason="this is about SQLite")

UNAVAILABLE = (503, True)


@pytest.fixture(autouse=True)
def _transactions_that_roll_back():
    """Give the tests no database: the server has its own."""


@pytest.fixture
def disk(tmp_path):
    """A disk of its own for the database: 16 MiB of memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_setup, django_db_blocker):
    folder = tmp_path_factory.mktemp("faults")
    yield from serving(folder, folder, django_db_blocker)


def serving(tmp_path, folder, django_db_blocker):
    own = {"DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}", "AUTH_ACCOUNT_LIMIT": ""}
    running = Server(environment(tmp_path, django_db_blocker, **own), tmp_path / "log")
    yield running
    assert running.stop() == 0


@pytest.fixture
def server_on_disk(tmp_path, disk, django_db_setup, django_db_blocker):
    yield from serving(tmp_path, disk, django_db_blocker)


@contextlib.contextmanager
def a_limit_on_files(server):
    """Let no file of the server grow: to SQLite that is as if the disk were full."""
    log = Path(server.environment["DATABASE_URL"].removeprefix("sqlite:///") + "-wal")
    before = {worker: worker.rlimit(resource.RLIMIT_FSIZE) for worker in server.workers()}
    for worker, (_, highest) in before.items():
        worker.rlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, highest))
    try:
        yield
    finally:
        for worker, limits in before.items():
            worker.rlimit(resource.RLIMIT_FSIZE, limits)


@contextlib.contextmanager
def a_full_disk(folder):
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


def assert_writes_are_refused_and_reads_are_not(server, pair):
    bearer = {"Authorization": f"Bearer {pair['accessToken']}"}
    for path, body in writes(server, pair) * 3:
        status, told, content = server.exchange("POST", path, body)
        assert (status, int(told.get("Retry-After", 0)) > 0) == UNAVAILABLE, (path, content)
    for path in ("/readyz", "/api/test/user", "/api/auth/sessions", "/api/auth/me", "/admin/login/"):
        assert {server.request("GET", path, **bearer)[0] for _ in range(4)} == {200}, path


def assert_all_is_well(server, pair):
    status, following = server.refresh(pair)
    assert (status, server.content(following)) == (200, 200), following
    assert set(at_once(8, lambda _: server.refresh(following)[0])) == {200}
    assert server.sign_in(f"{pair['username']}9")


def test_where_files_may_not_grow_writes_are_503_and_reads_go_on(server):
    pair = server.sign_in("bob")

    with a_limit_on_files(server):
        assert_writes_are_refused_and_reads_are_not(server, pair)

    assert_all_is_well(server, pair)


def test_on_a_full_disk_writes_are_503_and_reads_go_on(server_on_disk, disk):
    pair = server_on_disk.sign_in("alice")

    with a_full_disk(disk):
        assert_writes_are_refused_and_reads_are_not(server_on_disk, pair)

    assert_all_is_well(server_on_disk, pair)


@contextlib.contextmanager
def a_read_only_file(server):
    """Say in its header that a later SQLite alone may write it: this stops root, too, unlike its mode."""
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


def test_of_a_read_only_file_everything_is_read(server):
    pair = server.sign_in("carol")

    with a_read_only_file(server):
        assert_writes_are_refused_and_reads_are_not(server, pair)

    assert_all_is_well(server, pair)


def test_while_another_process_keeps_the_lock_writes_are_503_and_reads_go_on(server):
    pair = server.sign_in("dave")
    path = server.environment["DATABASE_URL"].removeprefix("sqlite:///")

    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answers = at_once(4, lambda _: server.refresh(pair)[0])
        assert {server.content(pair) for _ in range(10)} == {200}

    assert set(answers) == {503}
    assert_all_is_well(server, pair)
