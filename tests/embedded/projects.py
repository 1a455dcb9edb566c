"""Create Django projects that embed the two apps as docs/existing-project.md says, and run code in them."""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from django.db import connection
from psycopg.conninfo import make_conninfo

from tests.environment import ON_POSTGRESQL
from tests.factories import PASSWORD
from tests.servers import ROOT

PAGE = (ROOT / "docs/existing-project.md").read_text()
SETTINGS = re.search(r"## Add the settings\n.*?```python\n(.*?)```", PAGE, re.DOTALL)[1]
URLS = """
from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("", include("api.urls"))]
"""


class EmbeddedProject:
    """A new project named shop with the settings of the page, followed by those of a test."""

    def __init__(self, folder: Path, settings: str = "", **modules: str) -> None:
        self.folder = folder
        ours = ("AUTH", "DJANGO", "DATABASE", "SECRET_KEY", "PUBLIC_URL", "CORS", "CACHE", "EMAIL")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
            "PYTHONPATH": f"{folder}:{ROOT}",
            "DJANGO_SETTINGS_MODULE": "shop.settings",
        }
        self.run("-m", "django", "startproject", "shop", ".", DJANGO_SETTINGS_MODULE="")
        with (folder / "shop/settings.py").open("a") as file:
            file.write(f'\n{SETTINGS}\nALLOWED_HOSTS = ["*"]\n{settings}\n')
        for name, text in {"urls": URLS, **modules}.items():
            (folder / f"shop/{name}.py").write_text(text)

    def run(self, *arguments: str, **environment: str) -> str:
        """Run Python with these arguments; return its output. It must succeed."""
        done = self.attempt(*arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def attempt(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            check=False,
            cwd=self.folder,
            env={**self.environment, "PASSWORD": PASSWORD, **environment},
            capture_output=True,
            text=True,
        )

    def manage(self, *arguments: str) -> str:
        return self.run("manage.py", *arguments)

    def check(self) -> str:
        """Return what `manage.py check` reports."""
        done = self.attempt("manage.py", "check")
        return done.stdout + done.stderr


def new_database(request: Any, folder: Path, name: str) -> dict[str, object]:
    """Return the entry in DATABASES of a new, empty database, which the fixture `request` drops."""
    if not ON_POSTGRESQL:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / f"{name}.sqlite3")}
    created = f"{name}_{uuid4().hex}"
    connection.ensure_connection()
    server = make_conninfo(connection.connection.info.dsn, dbname="postgres")
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{created}"')
    request.addfinalizer(partial(_drop, server, created))
    keys = ("ENGINE", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
    return {**{key: connection.settings_dict[key] for key in keys}, "NAME": created}


def _drop(server: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        # It waits for a checkpoint, which takes long on a busy disk.
        admin.execute("SET statement_timeout = 0")
        admin.execute(f'DROP DATABASE "{name}"')
