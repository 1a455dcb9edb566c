"""The service in a project whose routers use several databases."""

import pytest

from tests.embedded.projects import EmbeddedProject, new_database
from tests.factories import PASSWORD

APPS = ("accounts", "auth", "contenttypes", "admin", "sessions")
REPLICA = """
class Router:
    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, obj1, obj2, **hints):
        return True
"""
OWN_DATABASE = f"""
class Router:
    def db_for_read(self, model, **hints):
        return "replica" if model._meta.app_label in {APPS} else None

    def db_for_write(self, model, **hints):
        return "users" if model._meta.app_label in {APPS} else None

    def allow_relation(self, obj1, obj2, **hints):
        return True

    def allow_migrate(self, db, app_label, **hints):
        return (db == "default") != (app_label in {APPS})
"""
SPLIT = """
class Router:
    def db_for_write(self, model, **hints):
        return "users" if model._meta.app_label == "accounts" else None
"""


def project_with(request, folder, router, aliases):
    databases = {alias: new_database(request, folder, alias) for alias in aliases}
    settings = f'DATABASES = {databases!r}\nDATABASE_ROUTERS = ["shop.routers.Router"]'
    return EmbeddedProject(folder, settings, routers=router)


@pytest.mark.parametrize(
    ("router", "aliases"),
    [
        pytest.param(REPLICA, ("default", "replica"), id="a replica"),
        pytest.param(OWN_DATABASE, ("default", "users", "replica"), id="a database of its own and a replica"),
    ],
)
def test_nothing_is_read_from_a_replica_that_lags(request, tmp_path, router, aliases):
    project = project_with(request, tmp_path, router, aliases)
    for alias in aliases:
        project.manage("migrate", "--database", alias, "--verbosity", "0")

    output = project.run("-m", "tests.embedded.journey", DJANGO_SUPERUSER_PASSWORD=PASSWORD)

    assert "the journey ended" in output


def test_related_tables_on_different_databases_are_reported_by_a_check(request, tmp_path):
    project = project_with(request, tmp_path, SPLIT, ("default", "users"))

    assert "accounts.E005" in project.check()
