"""Test frequent statements on PostgreSQL: `fetch_row` does what Django's cursor does, at a lower cost."""

import contextlib
from datetime import UTC, datetime
from functools import partial
from threading import Barrier
from uuid import UUID

import psycopg
import pytest
from django.db import DatabaseError, NotSupportedError, OperationalError, connection, connections
from django.db.transaction import TransactionManagementError, atomic
from django.test.utils import CaptureQueriesContext

from accounts.databases import fetch_row
from authproject.postgresql import base
from tests.environment import ON_POSTGRESQL
from tests.threads import run_concurrently

pytestmark = pytest.mark.skipif(not ON_POSTGRESQL, reason="needs PostgreSQL")

OWN = "own"
MORE_THAN_THRESHOLD = 6
"""More executions than `prepare_threshold`, so that psycopg has prepared the statement."""
VALUES = {
    "uuid": UUID("01234567-89ab-7def-8123-456789abcdef"),
    "timestamptz": datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
    "bytea": b"\0\\x\xff",
    "text": "ä'\\%s",
    "bool": True,
    "int": -1,
    "bigint": 2**62,
    "float8": 0.1,
    "jsonb": '{"a": [1]}',
    "varchar": None,
}
EVERY_TYPE = "SELECT " + ", ".join(f"%({name})s::{name}, %({name})s::{name} IS NULL" for name in VALUES)
LABEL = "SELECT label FROM t WHERE id = %s"


@pytest.fixture
def database(db):
    """A connection of its own, outside the test's transaction, with a table."""
    connections[OWN] = connection.copy(OWN)
    with connections[OWN].cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE t (id int, label text)")
        cursor.execute("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    yield connections[OWN]
    connections[OWN].close()
    del connections[OWN]


def with_cursor(database, sql, values=()):
    with database.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


def fetch_often(database, sql, values=()):
    return {fetch_row(database, sql, values) for _ in range(MORE_THAN_THRESHOLD)}


def behind_psycopgs_back(database, sql):
    """Execute a statement whose effect psycopg does not notice."""
    result = database.connection.pgconn.exec_(sql.encode())
    assert result.status == psycopg.pq.ExecStatus.COMMAND_OK


@pytest.mark.parametrize("is_bound_by_server", [True, False])
def test_a_row_has_the_same_values_as_with_djangos_cursor(database, is_bound_by_server):
    database.close()
    database.settings_dict["OPTIONS"]["server_side_binding"] = is_bound_by_server
    expected = with_cursor(database, EVERY_TYPE, VALUES)

    assert fetch_often(database, EVERY_TYPE, VALUES) == {expected}
    row = fetch_row(database, EVERY_TYPE, VALUES)
    assert list(map(type, row)) == list(map(type, expected))
    assert row[2].tzinfo is expected[2].tzinfo


def test_a_statement_returns_its_first_row_or_none(database):
    assert fetch_often(database, "SELECT label FROM t ORDER BY id") == {("one",)}
    assert fetch_often(database, LABEL, [3]) == {None}


def test_a_frequent_statement_is_prepared_once(database):
    for _ in range(MORE_THAN_THRESHOLD):
        assert fetch_row(database, LABEL, [1]) == ("one",)
        assert fetch_row(database, LABEL, [2]) == ("two",)

    assert with_cursor(database, "SELECT count(*) FROM pg_prepared_statements") == (1,)


def test_a_frequent_statement_creates_one_cursor(database, monkeypatch):
    created = []
    create_cursor = database.create_cursor
    monkeypatch.setattr(database, "create_cursor", lambda: created.append(create_cursor()) or created[-1])
    fetch_often(database, LABEL, [1])

    assert len(created) == 1


def test_no_statement_is_prepared_behind_a_pooler(database):
    database.connection.prepare_threshold = None  # as `init_connection_state` sets it
    fetch_often(database, LABEL, [1])

    assert with_cursor(database, "SELECT count(*) FROM pg_prepared_statements") == (0,)


def test_a_statement_belongs_to_the_surrounding_transaction(database):
    count = "SELECT count(*) FROM t"
    assert fetch_often(database, count) == {(2,)}

    with atomic(using=OWN):
        assert fetch_row(database, "DELETE FROM t WHERE id = %s RETURNING label", [1]) == ("one",)
        assert fetch_row(database, count, ()) == (1,)
        database.set_rollback(True)

    assert fetch_row(database, count, ()) == (2,)


def test_no_statement_is_executed_in_a_failed_transaction(database):
    fetch_row(database, "SELECT 1", ())

    with atomic(using=OWN):
        database.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            fetch_row(database, "SELECT 1", ())


def test_wrappers_and_captured_queries_see_every_statement(database):
    seen = []

    def wrapper(execute, sql, values, many, context):
        seen.append(sql)
        return execute(sql, values, many, context)

    fetch_row(database, "SELECT 1", ())
    with database.execute_wrapper(wrapper):
        fetch_row(database, "SELECT 1", ())
    with CaptureQueriesContext(database) as captured:
        fetch_row(database, "SELECT 1", ())

    assert seen == ["SELECT 1"]
    assert [query["sql"] for query in captured] == ["SELECT 1"]


ERRORS = {
    "SELECT missing": (),
    "SELECT 1 / %s::int": [0],
    "SELECT %s::uuid": ["x"],
    "SELECT %s::text": ["a\0b"],
    "SELECT %s::json": [object()],
    "SELECT %s, 1": [],
    "SELECT pg_terminate_backend(pg_backend_pid())": (),
}


@pytest.mark.parametrize("sql", ERRORS)
def test_an_error_is_that_of_djangos_cursor(database, sql):
    outcomes = []
    for run in (with_cursor, fetch_row):
        database.close()
        with pytest.raises(DatabaseError) as raised:
            run(database, sql, ERRORS[sql])
        error = raised.value
        # Django decides by this flag whether the next request gets another connection.
        outcomes.append((type(error), type(error.__cause__), database.errors_occurred))

    assert outcomes[0] == outcomes[1]


def test_after_an_error_no_row_of_an_earlier_statement_is_returned(database):
    quotient = "SELECT 1 / %s::int"
    fetch_often(database, quotient, [1])
    for _ in range(2):
        with pytest.raises(DatabaseError):
            fetch_row(database, quotient, [0])

    assert fetch_row(database, quotient, [1]) == (1,)


STALE = ["DEALLOCATE ALL", "ALTER TABLE t ALTER label TYPE varchar(9)"]


@pytest.mark.parametrize("change", STALE)
def test_a_stale_prepared_statement_fails_no_request(database, change):
    fetch_often(database, LABEL, [1])
    behind_psycopgs_back(database, change)

    assert fetch_often(database, LABEL, [1]) == {("one",)}


@pytest.mark.parametrize("run", [fetch_row, with_cursor])
@pytest.mark.parametrize("change", STALE)
def test_a_connection_with_a_stale_prepared_statement_is_replaced_before_the_next_request(database, run, change):
    for _ in range(MORE_THAN_THRESHOLD):
        [pid] = run(database, "SELECT pg_backend_pid(), label FROM t", ())[:1]
    behind_psycopgs_back(database, change)
    with contextlib.suppress(DatabaseError):
        run(database, "SELECT pg_backend_pid(), label FROM t", ())

    database.close_if_unusable_or_obsolete()
    assert run(database, "SELECT pg_backend_pid()", ()) != (pid,)


def test_a_stale_prepared_statement_fails_a_transaction(database):
    fetch_often(database, LABEL, [1])
    behind_psycopgs_back(database, "ALTER TABLE t ALTER label TYPE varchar(9)")

    with pytest.raises(NotSupportedError), atomic(using=OWN):
        fetch_row(database, LABEL, [1])

    assert fetch_row(database, LABEL, [1]) == ("one",)


def test_after_the_server_closed_the_connection_a_new_one_is_used(database):
    [pid] = fetch_often(database, "SELECT pg_backend_pid()")
    assert with_cursor(connection, "SELECT pg_terminate_backend(%s, 10000)", pid) == (True,)

    database.close_if_unusable_or_obsolete()
    [new_pid] = fetch_often(database, "SELECT pg_backend_pid()")
    assert new_pid != pid


def test_a_server_that_does_not_respond_is_given_up(database, monkeypatch):
    monkeypatch.setattr(base, "_cooldown", base._Cooldown())
    database.connection.answer_timeout = 0.1
    with pytest.raises(OperationalError):
        fetch_row(database, "SELECT pg_sleep(%s)", [30])

    assert database.connection.closed
    assert base._cooldown.is_active()


def test_threads_that_may_share_a_connection_get_their_own_rows(database):
    both_have_executed = Barrier(2)

    class PausingCursor(database.connection.cursor_factory):
        def execute(self, *args, **options):
            super().execute(*args, **options)
            if database.allow_thread_sharing:
                both_have_executed.wait(timeout=30)

    database.connection.cursor_factory = PausingCursor
    fetch_row(database, LABEL, [3])
    database.inc_thread_sharing()
    rows = run_concurrently(*(partial(fetch_row, database, LABEL, [number]) for number in (1, 2)))

    assert rows == [("one",), ("two",)]


def test_another_thread_may_not_use_the_connection(database):
    fetch_row(database, "SELECT 1", ())

    with pytest.raises(DatabaseError, match="can only be used in that same thread"):
        run_concurrently(lambda: fetch_row(database, "SELECT 1", ()))
