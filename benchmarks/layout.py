"""Compare layouts of the session table (indexes, fill factor, keys) by the cost of the refresh statement.

    python -m benchmarks.layout refresh [--folder F] [--sessions 100000] [--rounds 10] [--core N]
    python -m benchmarks.layout insert [--folder F] [--sessions 2000000]
    python -m benchmarks.layout purge [--folder F] [--sessions 2000000]

`refresh` refreshes every live session of each layout once per round, in random order. PostgreSQL writes a new version of
an updated row. If no indexed column changed and the page has room, the new version stays in the page and the indexes
remain unchanged (a heap-only tuple, HOT); otherwise every index gets a new entry.
"""

import argparse
import secrets
import statistics
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import psycopg

from benchmarks.dataset import make_database, pin, populate, postgresql

BATCH = 100
WINDOW = 5000

REFRESH = """
    UPDATE {table} SET secret_digest = %s, generation = generation + 1, expires_at = %s, last_used_at = %s,
        rotated_at = %s
    WHERE ended_at IS NULL AND expires_at > %s AND secret_digest = %s AND uuid = %s
"""
COLUMNS = """expires_at, session_expires_at, created_at, authenticated_at, last_used_at, rotated_at, generation,
    secret_digest, owner_stamp, ended_at, end_reason, address, user_agent, owner_id"""


@dataclass
class Layout:
    """One layout of the table, with its measurements."""

    table: str
    expires_index: str = ""
    fillfactor: int = 100
    new_id: str = "uuid"
    seconds: list[float] = field(default_factory=list)
    wal: int = 0
    sizes: list[float] = field(default_factory=list)

    def create(self, connection: psycopg.Connection) -> tuple[float, int]:
        """Create and fill the table in the order of sign-ins; return the seconds and the bytes of WAL."""
        for statement in (
            f"CREATE TABLE {self.table} (LIKE accounts_refreshtoken) WITH (fillfactor = {self.fillfactor})",
            f"ALTER TABLE {self.table} ADD PRIMARY KEY (uuid)",
            f"CREATE INDEX ON {self.table} (owner_id)",
            f"CREATE INDEX ON {self.table} (address)",
            f"CREATE INDEX ON {self.table} (end_reason, uuid) WHERE ended_at IS NOT NULL",
            f"CREATE INDEX ON {self.table} USING {self.expires_index} (expires_at)" if self.expires_index else "",
            # In production a small part of the table changes during ANALYZE. Here most of it would, and old versions
            # that ANALYZE can still see must not be removed.
            f"ALTER TABLE {self.table} SET (autovacuum_analyze_scale_factor = 100)",
            "CHECKPOINT",
        ):
            if statement:
                connection.execute(statement)
        started, position = time.monotonic(), wal_position(connection)
        connection.execute(
            f"INSERT INTO {self.table} (uuid, {COLUMNS}) SELECT {self.new_id}, {COLUMNS}"
            " FROM accounts_refreshtoken ORDER BY created_at"
        )
        spent = time.monotonic() - started, wal_position(connection) - position
        connection.execute(f"VACUUM ANALYZE {self.table}")
        return spent

    def size(self, connection: psycopg.Connection) -> tuple[int, int]:
        """Return the size of the table and of its indexes, in bytes."""
        sql = "SELECT pg_table_size(%s::regclass), pg_indexes_size(%s::regclass)"
        return connection.execute(sql, [self.table, self.table]).fetchone()

    def hot(self, connection: psycopg.Connection) -> float:
        """Return the share of heap-only (HOT) updates."""
        sql = "SELECT n_tup_hot_upd::float8 / greatest(n_tup_upd, 1) FROM pg_stat_user_tables WHERE relname = %s"
        return connection.execute(sql, [self.table]).fetchone()[0]


LAYOUTS = [
    Layout("btree_100", "btree"),
    Layout("btree_90", "btree", 90),
    Layout("none_100"),
    Layout("none_90", fillfactor=90),
    Layout("none_85", fillfactor=85),
    Layout("none_80", fillfactor=80),
    Layout("none_70", fillfactor=70),
    Layout("brin_100", "brin"),
    Layout("brin_90", "brin", 90),
    Layout("v4_btree_100", "btree", new_id="gen_random_uuid()"),
    Layout("v4_none_90", fillfactor=90, new_id="gen_random_uuid()"),
]


def wal_position(connection: psycopg.Connection) -> int:
    """Return the current position in the write-ahead log, in bytes."""
    return int(connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").fetchone()[0])


def refresh(connection: psycopg.Connection, sessions: int, rounds: int) -> None:
    """Refresh every session of each layout `rounds` times, alternating between layouts."""
    ids = {}
    for layout in LAYOUTS:
        layout.create(connection)
        layout.sizes.append(sum(layout.size(connection)) / sessions)
        live = f"SELECT uuid, secret_digest FROM {layout.table} WHERE ended_at IS NULL AND expires_at > now()"
        ids[layout.table] = {row[0]: row[1] for row in connection.execute(live)}
    for number in range(rounds):
        for layout in LAYOUTS:
            position, started = wal_position(connection), time.monotonic()
            _refresh_all(connection, layout, ids[layout.table])
            layout.seconds.append(time.monotonic() - started)
            layout.wal += wal_position(connection) - position
        print(f"round {number + 1} of {rounds}", flush=True)
    _print_refresh(connection, sessions, rounds, len(ids[LAYOUTS[0].table]))


def _refresh_all(connection: psycopg.Connection, layout: Layout, digests: dict[UUID, bytes]) -> None:
    order = list(digests)
    secrets.SystemRandom().shuffle(order)
    with connection.cursor() as cursor:
        for start in range(0, len(order), BATCH):
            now, values = datetime.now(UTC), []
            for session in order[start : start + BATCH]:
                digest = sha256(digests[session]).digest()
                values.append((digest, now + timedelta(days=1), now, now, now, digests[session], session))
                digests[session] = digest
            # One round trip and one commit per batch, to measure the statement rather than the network and the disk.
            cursor.executemany(REFRESH.format(table=layout.table), values)
            assert cursor.rowcount == len(values), cursor.rowcount


def _print_refresh(connection: psycopg.Connection, sessions: int, rounds: int, live: int) -> None:
    time.sleep(2)  # let PostgreSQL update its statistics
    print(
        "\n| layout | us/update | ratio | HOT | WAL B/update | B/session before | after | table | indexes | vacuumed |"
    )
    print("| --- " * 10 + "|")
    base = statistics.median(LAYOUTS[0].seconds)
    for layout in LAYOUTS:
        table, indexes = layout.size(connection)
        hot = layout.hot(connection)
        connection.execute(f"VACUUM {layout.table}")
        vacuumed = sum(layout.size(connection)) / sessions
        seconds = statistics.median(layout.seconds)
        print(
            f"| {layout.table} | {seconds / live * 1e6:.1f} | {seconds / base:.2f} | {hot:.1%} "
            f"| {layout.wal / rounds / live:.0f} | {layout.sizes[0]:.0f} | {(table + indexes) / sessions:.0f} "
            f"| {table / sessions:.0f} | {indexes / sessions:.0f} | {vacuumed:.0f} |"
        )


def insert(connection: psycopg.Connection, sessions: int) -> None:
    """Fill a table with time-ordered and with random keys, twice each."""
    print("\n| keys | us/row | WAL B/row | table B/row | indexes B/row |\n| --- | --- | --- | --- | --- |")
    for new_id in ("uuid", "gen_random_uuid()") * 2:
        layout = Layout("inserted", "btree", new_id=new_id)
        seconds, wal = layout.create(connection)
        table, indexes = layout.size(connection)
        print(
            f"| {new_id} | {seconds / sessions * 1e6:.1f} | {wal / sessions:.0f} | {table / sessions:.0f} "
            f"| {indexes / sessions:.0f} |", flush=True,
        )  # fmt: skip
        connection.execute("DROP TABLE inserted")


def purge(connection: psycopg.Connection, sessions: int) -> None:
    """Expire every other session; delete them by an index and by walking the primary key."""
    print("\n| method | seconds | rows deleted |\n| --- | --- | --- |")
    for method, index in ((_by_index, "btree"), (_by_walk, ""), (_by_walk, "btree")):
        layout = Layout("purged", index)
        connection.execute("UPDATE accounts_refreshtoken SET expires_at = now() - random() * interval '1 day'"
                           " WHERE hashtext(uuid::text) % 2 = 0 AND expires_at > now()")  # fmt: skip
        layout.create(connection)
        started = time.monotonic()
        deleted = method(connection, layout.table)
        print(
            f"| {method.__name__[1:]}, {index or 'no'} index | {time.monotonic() - started:.1f} | {deleted} |",
            flush=True,
        )
        connection.execute("DROP TABLE purged")


def _by_index(connection: psycopg.Connection, table: str) -> int:
    # Read a batch of keys, then delete them under the same condition.
    total = 0
    while True:
        rows = connection.execute(f"SELECT uuid FROM {table} WHERE expires_at <= now() LIMIT 1000").fetchall()
        if not rows:
            return total
        keys = [row[0] for row in rows]
        sql = f"DELETE FROM {table} WHERE expires_at <= now() AND uuid = ANY(%s)"
        total += connection.execute(sql, [keys]).rowcount


def _by_walk(connection: psycopg.Connection, table: str) -> int:
    # Delete expired rows from one window of keys after the other, so that no statement takes long.
    total, last = 0, UUID(int=0)
    while True:
        window = f"SELECT uuid FROM {table} WHERE uuid > %s ORDER BY uuid OFFSET %s LIMIT 1"
        row = connection.execute(window, [last, WINDOW - 1]).fetchone()
        end = row[0] if row else UUID(int=2**128 - 1)
        sql = f"DELETE FROM {table} WHERE uuid > %s AND uuid <= %s AND expires_at <= now()"
        total += connection.execute(sql, [last, end]).rowcount
        if row is None:
            return total
        last = end


def main() -> None:
    """Generate the sessions and run one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measurement", choices=("refresh", "insert", "purge"))
    parser.add_argument("--folder", type=Path, default=Path("/tmp/layout"))
    parser.add_argument("--sessions", type=int)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--layouts", nargs="+", help="compare only these layouts")
    options = parser.parse_args()
    if options.layouts:
        LAYOUTS[:] = [layout for layout in LAYOUTS if layout.table in options.layouts]
    sessions = options.sessions or (100_000 if options.measurement == "refresh" else 2_000_000)
    server = postgresql(options.folder)
    pin(options.core)
    make_database(server, options.measurement, options.folder)
    with psycopg.connect(server.get_uri(options.measurement), autocommit=True, prepare_threshold=1) as connection:
        # These tables change faster than autovacuum expects.
        connection.execute("ALTER SYSTEM SET autovacuum_naptime = '5s'")
        connection.execute("SELECT pg_reload_conf()")
        populate(connection, sessions // 10, sessions, 0)
        if options.measurement == "refresh":
            refresh(connection, sessions, options.rounds)
        else:
            {"insert": insert, "purge": purge}[options.measurement](connection, sessions)


if __name__ == "__main__":
    main()
