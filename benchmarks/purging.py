"""Compare `purge_expired_tokens` with plain SQL in the same batches, while sessions are refreshed.

    python -m benchmarks.purging [--database sqlite|postgresql] [--expired 1000000] [--live 100000] [--rounds 3]

The command runs as operators run it. Measured are its duration, its peak memory, and the longest wait of a simultaneous
refresh, which is the longest time that a lock was held.
"""

import argparse
import secrets
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import psutil
import psycopg

from benchmarks.dataset import ROOT, environment, make_database, manage, postgresql

BATCH = 1000
COLUMNS = """uuid, owner_id, created_at, authenticated_at, last_used_at, expires_at, session_expires_at, generation,
    secret_digest, owner_stamp, end_reason, address, user_agent"""
DELETE = """
    DELETE FROM accounts_refreshtoken WHERE uuid IN (
        SELECT uuid FROM accounts_refreshtoken WHERE expires_on <= {p} AND expires_at <= {p} LIMIT 1000)
"""
REFRESH = """
    UPDATE accounts_refreshtoken SET secret_digest = {p}, generation = generation + 1, last_used_at = {p}
    WHERE uuid = {p} AND ended_at IS NULL
"""
FAR = timedelta(days=300)
RANDOM = secrets.SystemRandom()


class Database(Protocol):
    """A database with the same sessions for each run."""

    mark: str
    pause: float

    def prepare(self, expired: int, live: int) -> None: ...
    def restore(self) -> str: ...
    def connect(self) -> Any: ...


class PostgreSQL:
    """A PostgreSQL database that is copied from a template before each run."""

    mark, pause = "%s", 0.0

    def __init__(self, folder: Path) -> None:
        self.folder, self.server = folder, postgresql(folder)

    def prepare(self, expired: int, live: int) -> None:
        """Create the template."""
        make_database(self.server, "template_of_sessions", self.folder)
        sql = f"""
            INSERT INTO accounts_refreshtoken ({COLUMNS}) SELECT uuidv7(-days), 1, at, at, at, expires, expires, 0,
                sha256(uuid_send(gen_random_uuid())), 1, '', '10.0.0.1', repeat('Mozilla/5.0 ', 10)
            FROM (SELECT days, now() - days AS at, CASE WHEN number <= %s THEN now() - random() * interval '20 days'
                      ELSE now() + interval '300 days' END AS expires
                  FROM (SELECT number, interval '29 days' * random() AS days FROM generate_series(1, %s) AS number) AS n) AS s
        """
        with psycopg.connect(self.server.get_uri("template_of_sessions"), autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(sql, [expired, expired + live])
            connection.execute("VACUUM (ANALYZE)")

    def restore(self) -> str:
        """Copy the template; return the URL of the copy."""
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS purged")
            connection.execute("CREATE DATABASE purged TEMPLATE template_of_sessions")
            connection.execute("CHECKPOINT")
        return str(self.server.get_uri("purged"))

    def connect(self) -> Any:
        return psycopg.connect(self.server.get_uri("purged"), autocommit=True, prepare_threshold=1)


class SQLite:
    """An SQLite file that is copied from a template before each run."""

    # SQLite has no queue for its lock: without a pause between refreshes, the purge would hardly get it.
    mark, pause = "?", 0.01

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.template, self.file = folder, folder / "template.sqlite3", folder / "purged.sqlite3"

    def prepare(self, expired: int, live: int) -> None:
        """Create the template."""
        manage(f"sqlite:///{self.template}", self.folder, "migrate", "-v0")
        with closing(sqlite3.connect(self.template)) as connection, connection:
            connection.executemany(
                f"INSERT INTO accounts_refreshtoken ({COLUMNS}) VALUES ({', '.join('?' * 13)})",
                _rows(expired, live),
            )

    def restore(self) -> str:
        """Copy the template; return the URL of the copy."""
        for old in self.folder.glob("purged.sqlite3*"):
            old.unlink()
        shutil.copyfile(self.template, self.file)
        return f"sqlite:///{self.file}"

    def connect(self) -> Any:
        return _open(self.file)


def _open(file: Path | str) -> Any:
    connection = sqlite3.connect(file, timeout=30, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _rows(expired: int, live: int) -> Iterator[tuple[Any, ...]]:
    now = datetime.now(UTC).replace(tzinfo=None)
    for number in range(expired + live):
        started = now - timedelta(days=29) * RANDOM.random()
        ends = now - timedelta(days=20) * RANDOM.random() if number < expired else now + FAR
        yield (_id_of(started), 1, *map(str, (started, started, started, ends, ends)), 0,
               secrets.token_bytes(32), 1, "", "10.0.0.1", "Mozilla/5.0 " * 10)  # fmt: skip


def _id_of(moment: datetime) -> str:
    # Version 7 of RFC 9562 starts with the milliseconds.
    milliseconds = int(moment.replace(tzinfo=UTC).timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0x2 << 62 | secrets.randbits(61)).hex


@contextmanager
def refreshing(database: Database) -> Iterator[list[float]]:
    """Refresh live sessions in a thread while the block runs; yield the list of durations, in seconds."""
    with closing(database.connect()) as connection:
        sql = f"SELECT uuid FROM accounts_refreshtoken WHERE expires_at > {database.mark} LIMIT 10000"
        live = [row[0] for row in connection.execute(sql, [_plain(database, datetime.now(UTC))])]
    stop, durations = threading.Event(), list[float]()
    sql = REFRESH.format(p=database.mark)

    def refresh() -> None:
        with closing(database.connect()) as connection:
            while not stop.is_set():
                for session_id in live:
                    if stop.is_set():
                        break
                    started = time.perf_counter()
                    now = _plain(database, datetime.now(UTC))
                    connection.execute(sql, [_digest_of(session_id), now, session_id])
                    durations.append(time.perf_counter() - started)
                    time.sleep(database.pause)

    thread = threading.Thread(target=refresh)
    thread.start()
    try:
        yield durations
    finally:
        stop.set()
        thread.join()


def _digest_of(session_id: Any) -> bytes:
    return str(session_id).replace("-", "")[:32].encode()


def _plain(database: Database, moment: datetime) -> Any:
    return str(moment.replace(tzinfo=None)) if database.mark == "?" else moment


def purge_with_command(database: Database, address: str, folder: Path) -> float:
    """Run the management command; return its peak memory, in bytes."""
    command = [sys.executable, "manage.py", "purge_expired_tokens", "--batch-size", str(BATCH)]
    return run_and_measure_memory(command, environment(address, folder))


def run_and_measure_memory(command: list[str], settings: dict[str, str]) -> float:
    """Run a command to its end; return its peak memory, in bytes."""
    process = psutil.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.05)
    assert process.returncode == 0
    return peak


def purge_with_sql(database: Database, address: str, folder: Path) -> float:
    """Delete in the same batches with plain SQL, in a process of its own like the command; return 0."""
    script = f"from benchmarks.purging import delete_all; delete_all({address!r})"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
    return 0


def delete_all(address: str) -> None:
    """Delete expired sessions in batches."""
    if address.startswith("sqlite"):
        connection, now = _open(address.removeprefix("sqlite:///")), str(datetime.now(UTC).replace(tzinfo=None))
        sql = DELETE.format(p="?")
    else:
        connection, now = psycopg.connect(address, autocommit=True, prepare_threshold=1), datetime.now(UTC)
        sql = DELETE.format(p="%s")
    today = str(now)[:10]
    while connection.execute(sql, [today, now]).rowcount:
        pass
    connection.close()


def measure(
    name: str, method: Callable[[Database, str, Path], float], database: Database, folder: Path
) -> tuple[float, ...]:
    """Purge a fresh copy.

    Returns the seconds, the peak memory in bytes, and the refreshes' rate, median and longest duration in seconds.
    """
    address = database.restore()
    with refreshing(database) as durations:
        started = time.monotonic()
        memory = method(database, address, folder)
        spent = time.monotonic() - started
    with closing(database.connect()) as connection:
        sql = f"SELECT count(*) FROM accounts_refreshtoken WHERE expires_at <= {database.mark}"
        left = connection.execute(sql, [_plain(database, datetime.now(UTC))]).fetchone()[0]
    assert left == 0, left
    print(f"{name}: {spent:.1f} s", file=sys.stderr, flush=True)
    return spent, memory, len(durations) / spent, statistics.median(durations), max(durations)


def main() -> None:
    """Measure both methods in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--expired", type=int, default=1_000_000)
    parser.add_argument("--live", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="purging-"))
    database: Database = {"sqlite": SQLite, "postgresql": PostgreSQL}[options.database](folder)
    database.prepare(options.expired, options.live)
    methods = {"plain SQL": purge_with_sql, "purge_expired_tokens": purge_with_command}
    results: dict[str, list[tuple[float, ...]]] = {name: [] for name in methods}
    for _ in range(options.rounds):
        for name, method in methods.items():
            results[name].append(measure(name, method, database, folder))
    print(f"\n## purge of {options.expired} of {options.expired + options.live} sessions, {options.database}\n")
    print(
        "| | seconds | ratio | peak MiB | refreshes/s meanwhile | median ms | longest ms |\n" + "| --- " * 7 + "|"
    )
    floor = statistics.median(run[0] for run in results["plain SQL"])
    for name, runs in results.items():
        seconds, memory, rate, median = (statistics.median(column) for column in list(zip(*runs, strict=True))[:4])
        longest = max(run[4] for run in runs)
        print(
            f"| {name} | {seconds:.1f} | {seconds / floor:.2f} | {memory / 2**20:.0f} | {rate:.0f} "
            f"| {median * 1e3:.2f} | {longest * 1e3:.0f} |"
        )
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
