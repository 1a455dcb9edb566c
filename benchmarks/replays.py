"""Measure reuse and growth: simultaneous replays of one refresh token, and rows after many refreshes of one session.

    python -m benchmarks.replays [--database sqlite|postgresql] [--only REGEX] [--sessions 25] [--replays 25]

A session that gets two different successors is split: a thief and the owner can both continue.
"""

import argparse
import contextlib
import http.client
import json
import re
import sqlite3
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import psycopg

from benchmarks.targets import Serving, Target, database_url, find_token, targets

TABLES = {
    "ours": ("accounts_refreshtoken",),
    "allauth": ("django_session",),
    "simplejwt": ("token_blacklist_outstandingtoken", "token_blacklist_blacklistedtoken"),
}


def refresh(target: Target, connection: http.client.HTTPConnection, token: str) -> str | None:
    """Refresh once; return the successor, or None if the refresh was refused."""
    body = json.dumps({target.refresh_field: token})
    connection.request("POST", target.paths["refresh"], body, {"Content-Type": "application/json"})
    return find_token(connection.getresponse().read().decode(), target.refresh_field) or None


def count_split_sessions(target: Target, sessions: int, replays: int) -> int:
    """Replay each session's token on `replays` connections at once; return how many sessions got two successors."""
    count = 0
    connections = [http.client.HTTPConnection("127.0.0.1", target.port) for _ in range(replays)]
    with ThreadPoolExecutor(replays) as pool:
        for _ in range(sessions):
            token = target.sign_in().refresh
            barrier = Barrier(replays)

            def replay(
                connection: http.client.HTTPConnection, barrier: Barrier = barrier, token: str = token
            ) -> str | None:
                barrier.wait()
                return refresh(target, connection, token)

            count += len(set(pool.map(replay, connections)) - {None}) > 1
    return count


def measure_storage(target: Target, address: str) -> tuple[int, int]:
    """Return the number of rows in the target's token tables, and their size with indexes, in bytes."""
    tables = TABLES[target.peer or "ours"]
    connect: Any = psycopg.connect if address.startswith("postgres") else sqlite3.connect
    with contextlib.closing(connect(address.removeprefix("sqlite:///"))) as connection:
        rows = sum(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)
        if address.startswith("postgres"):
            sizes = [f"pg_total_relation_size('{table}')" for table in tables]
            return rows, connection.execute(f"SELECT {' + '.join(sizes)}").fetchone()[0]
        names = ", ".join(f"'{table}'" for table in tables)
        sql = f"SELECT sum(pgsize) FROM dbstat JOIN sqlite_schema USING (name) WHERE tbl_name IN ({names})"
        with contextlib.suppress(sqlite3.OperationalError):  # dbstat is a compile-time option of SQLite
            return rows, connection.execute(sql).fetchone()[0]
        return rows, connection.execute("PRAGMA page_count").fetchone()[0] * 4096


def main() -> None:
    """Measure the selected targets and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--only", default="LAG=0|HS256|allauth")
    parser.add_argument("--sessions", type=int, default=25)
    parser.add_argument("--replays", type=int, default=25)
    parser.add_argument("--refreshes", type=int, default=1000)
    options = parser.parse_args()
    print(
        f"| {options.database} | sessions with two successors | rows, bytes before {options.refreshes} refreshes "
        "| after |\n| --- | --- | --- | --- |"
    )
    for target in targets():
        if "refresh" not in target.paths or not re.search(options.only, target.name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            address = database_url(options.database, Path(folder))
            target.start(target.prepare(address, Path(folder), Serving()), Path(folder))
            try:
                connection, token = http.client.HTTPConnection("127.0.0.1", target.port), target.sign_in().refresh
                before = measure_storage(target, address)
                for _ in range(options.refreshes):
                    token = refresh(target, connection, token) or token
                time.sleep(2)  # let autovacuum finish
                after = measure_storage(target, address)
                number = count_split_sessions(target, options.sessions, options.replays)
            finally:
                target.stop()
        print(
            f"| {target.name} | {number} of {options.sessions} | {before[0]}, {before[1]} | {after[0]}, {after[1]} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
