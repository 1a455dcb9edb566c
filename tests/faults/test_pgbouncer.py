"""Test the service behind PgBouncer in transaction mode, where sessions share the connections to the server."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import OperationalError, connections

from accounts.models import User
from tests.environment import ON_POSTGRESQL
from tests.pgbouncer import needs_pgbouncer, pooled
from tests.servers import ROOT, PostgreSQL

pytestmark = [pytest.mark.skipif(not ON_POSTGRESQL, reason="needs PostgreSQL"), needs_pgbouncer]

[DOCUMENTED_LIMITS] = re.findall(
    r"```sql test:pgbouncer\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL
)
LIMITS = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture of conftest.py: these tests use only databases of their own."""


@pytest.fixture(scope="module")
def cluster():
    running = PostgreSQL()
    with psycopg.connect(running.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE auth LOGIN")
        connection.execute("CREATE DATABASE served OWNER auth")
        connection.execute("CREATE DATABASE unlimited OWNER auth")
        connection.execute(DOCUMENTED_LIMITS)
    yield running
    running.remove()


@pytest.fixture(scope="module")
def pooled_url(cluster):
    with pooled(cluster.url, "served") as url:
        yield url


@pytest.fixture(scope="module")
def server(pooled_url, start_server):
    return start_server(DATABASE_URL=pooled_url, AUTH_ACCOUNT_LIMIT="")


@pytest.fixture
def connect(django_db_blocker):
    """Return a function that opens a connection of Django's with this service's options to a URL."""
    opened = []

    def connect(url, **options):
        parts = psycopg.conninfo.conninfo_to_dict(url)
        wrapper = connections["default"].copy()
        wrapper.settings_dict |= {
            "NAME": parts["dbname"],
            "USER": parts["user"],
            "PASSWORD": "",
            "HOST": parts["host"],
            "PORT": parts.get("port", ""),
            "OPTIONS": {**wrapper.settings_dict["OPTIONS"], **options},
        }
        opened.append(wrapper)
        return wrapper

    with django_db_blocker.unblock():
        yield connect
        for wrapper in opened:
            wrapper.close()


def first_row(wrapper, statement):
    with wrapper.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


def test_the_service_migrates_and_serves_through_pgbouncer(server):
    """The server of the fixture has migrated the database."""
    pairs = [server.sign_in(f"user{number}") for number in range(4)]

    def use(pair):
        # More often than `prepare_threshold`, after which a statement would be prepared under a name.
        for _ in range(8):
            status, pair = server.refresh(pair)
            assert (status, server.content(pair)) == (200, 200)
        return server.request("GET", "/api/auth/sessions", Authorization=f"Bearer {pair['accessToken']}")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(use, pairs))

    assert [(status, len(json.loads(content))) for status, content in answers] == [(200, 1)] * 4
    assert '"level": "ERROR"' not in server.log.read_text()


def test_rows_are_fetched_in_chunks_across_transactions(server, pooled_url, connect):
    for number in range(3):
        server.sign_in(f"reader{number}")
    wrapper = connect(pooled_url)
    with wrapper.chunked_cursor() as cursor:
        cursor.execute(f"SELECT username FROM {User._meta.db_table} WHERE username LIKE 'reader%'")
        first = cursor.fetchmany(1)
        # Another client's transaction takes the connection to the server that executed the statement.
        with psycopg.connect(pooled_url) as other:
            other.execute("SELECT 1")
            rest = cursor.fetchmany(5)

    assert len(first + rest) == 3


def test_a_statement_is_limited_through_pgbouncer(pooled_url, connect):
    wrapper = connect(pooled_url, answer_timeout=30)

    assert first_row(wrapper, LIMITS) == ("5s", "5s")
    with pytest.raises(OperationalError, match="statement timeout"):
        first_row(wrapper, "SELECT pg_sleep(20)")


def test_a_statement_is_limited_on_a_direct_connection(cluster, connect):
    wrapper = connect(cluster.url, time_limit=1)

    assert first_row(wrapper, LIMITS) == ("1s", "1s")
    with pytest.raises(OperationalError, match="statement timeout"):
        first_row(wrapper, "SELECT pg_sleep(20)")


def test_limits_in_the_operators_options_are_kept(cluster, connect):
    wrapper = connect(cluster.url, options="-c statement_timeout=30s")

    assert first_row(wrapper, LIMITS) == ("30s", "0")


def test_missing_limits_are_reported_and_not_set_for_other_clients(cluster, connect, caplog):
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        for name in ("statement_timeout", "lock_timeout"):
            connection.execute(f"ALTER ROLE auth IN DATABASE unlimited SET {name} = 0")

    with pooled(cluster.url, "unlimited") as url:
        assert first_row(connect(url), LIMITS) == ("0", "0")

    assert [record.missing for record in caplog.records] == [["statement_timeout", "lock_timeout"]]
