"""Of several processes that migrate one database at once, one migrates and the others wait."""

import subprocess
import sys

import dj_database_url
import pytest
from django.db import connection
from django.db.utils import ConnectionHandler

from accounts.management.migration_lock import migration_lock
from tests.servers import ROOT, environment

PROCESSES = 3


@pytest.fixture(autouse=True)
def _database_transaction():
    """Override the fixture of conftest.py: these tests use databases of their own."""


@pytest.fixture
def variables(tmp_path, django_db_setup, django_db_blocker):
    return environment(tmp_path, django_db_blocker)


def start_migration(variables, *options):
    return subprocess.Popen(
        [sys.executable, "manage.py", "migrate", "--noinput", *options],
        cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_several_first_starts_at_once_all_succeed(variables):
    processes = [start_migration(variables) for _ in range(PROCESSES)]

    results = [process.communicate(timeout=300) for process in processes]

    assert [process.returncode for process in processes] == [0] * PROCESSES, results
    assert sum("Applying accounts.0001_initial" in output for output, _ in results) == 1


def test_a_migration_waits_for_another_one_longer_than_any_time_limit(variables, django_db_blocker):
    database = {**dj_database_url.parse(variables["DATABASE_URL"]), "ENGINE": connection.settings_dict["ENGINE"]}
    other = ConnectionHandler({"default": database})["default"]
    with django_db_blocker.unblock(), migration_lock(other, lambda: pytest.fail("nobody else has the lock")):
        process = start_migration(variables)
        for line in process.stderr:
            if "Waiting" in line:
                break
        assert line == "Another process migrates the database. Waiting for it.\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=6)  # the limits on statements and locks are 5 seconds

    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "Applying accounts.0001_initial" in output
