import gc
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import get_default_password_validators
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.migrations.executor import MigrationExecutor
from django.template import engines
from django.urls import get_resolver
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server import Server

from accounts.conf import auth_settings
from accounts.databases import connection_of
from accounts.keys.key_ring import decryption_keys, key_ring
from accounts.keys.rotation import apply_algorithm_setting
from accounts.models import User
from accounts.values.devices import load_patterns

STOP_TIMEOUT = 30  # seconds for requests in flight to finish
HEAD_TIMEOUT = 10  # seconds for the request line and headers, and for an idle connection
MAX_HEAD_SIZE = 64 * 1024  # bytes of request line and headers
SOCKET_MODE = 0o660  # a proxy in the service's group may connect


def _let_starting_workers_terminate() -> None:
    """Make workers terminate on a SIGTERM that arrives while they start.

    A worker is forked with its parent's signal handlers, which do nothing in the worker: the server would wait for
    it until it kills it. SIGTERM is blocked during the fork, until the worker has the default handler.
    """
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM]),
        after_in_child=_restore_sigterm,
    )


def _restore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _load_what_workers_share() -> None:
    """Load what the first requests need, and exclude all that is loaded from garbage collection, also in workers.

    A forked worker shares a page of memory with this process until one of them writes to it. A collection writes
    to every object: each worker copied half of its memory, which also took most of the time of its start.

    What is loaded here must neither start a thread nor open a connection: a fork copies no thread, and shares each
    connection.
    """
    get_resolver().url_patterns  # noqa: B018  loads the views
    engines.all()
    get_default_password_validators()
    load_patterns()
    gc.freeze()


class Command(BaseCommand):
    """Run the production server."""

    help = "Runs the production server on HOST and PORT with WORKERS processes, until SIGTERM or SIGINT."

    def handle(self, **_: Any) -> None:
        """Check the settings and keys that every worker needs, then serve."""
        _refuse_missing_settings()
        own = auth_settings()
        apply_algorithm_setting(own.keys_dir, own.algorithm)
        key_ring()
        decryption_keys()
        self._report_missing_migrations()
        _let_starting_workers_terminate()
        _refuse_taken_address()
        self.stdout.write(f"Serving on {_socket_path() or _url()} (admin: /admin/, docs: /api/docs)")
        with _metrics_server(), _short_bind_errors():
            _load_what_workers_share()
            import_module("authproject.direct_requests").use_direct_loop()
            Server(
                "authproject.rsgi:application",
                address=settings.HOST,
                port=settings.PORT,
                uds=_socket_path(),
                uds_permissions=SOCKET_MODE,
                interface=Interfaces.RSGI,
                # With HTTP/2 enabled, granian never closes connections that send nothing.
                http=HTTPModes.http1,
                http1_settings=HTTP1Settings(
                    header_read_timeout=HEAD_TIMEOUT * 1000, max_buffer_size=MAX_HEAD_SIZE
                ),
                websockets=False,
                workers=settings.WORKERS,
                respawn_failed_workers=True,
                workers_kill_timeout=STOP_TIMEOUT,
            ).serve()

    def _report_missing_migrations(self) -> None:
        if missing := _count_missing_migrations():
            advice = "Run `manage.py migrate`; until then, requests fail."
            self.stderr.write(f"The database lacks {missing} migration(s). {advice}", style_func=str)


def _refuse_missing_settings() -> None:
    """Raise CommandError in a project that embeds the apps and does not configure this server."""
    missing = [name for name in ("HOST", "PORT", "WORKERS") if not hasattr(settings, name)]
    if missing:
        raise CommandError(
            f"`serve` needs the settings {', '.join(missing)}. Define them, for example "
            'HOST = "127.0.0.1", PORT = 8000 and WORKERS = 2, or use another server for the WSGI application.'
        )


def _count_missing_migrations() -> int:
    """Return how many migrations the database lacks, or 0 if it cannot be reached: the server starts anyway."""
    connection = connection_of(User)
    try:
        executor = MigrationExecutor(connection)
        return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError:
        return 0
    finally:
        connection.close()  # the workers are forked, and must not share it


def _refuse_taken_address() -> None:
    """Refuse a port that another server uses, and remove the Unix socket of a server that was killed.

    The server's own sockets have SO_REUSEPORT, so that its workers can share the port. With it, the kernel would
    also let two servers of one user share it, and give each a part of the connections.

    Raises CommandError.
    """
    if path := _socket_path():
        _remove_stale_socket(path)
        return
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    with socket.socket(family) as probe:
        # Connections of a server that has just stopped may still be closing.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, settings.PORT))
        except OSError as error:
            raise _bind_error(str(error.strerror)) from None


def _bind_error(reason: str) -> CommandError:
    if path := _socket_path():
        allowed = "a HOST of unix:/PATH in an existing, writable folder, where no other file or server is"
        return CommandError(f"Cannot listen on {path}: {reason}. Allowed: {allowed}.")
    allowed = "a HOST and PORT that are free on this machine"
    return CommandError(f"Cannot listen on {settings.HOST}:{settings.PORT}: {reason}. Allowed: {allowed}.")


def _socket_path() -> Path | None:
    """Return the Unix socket that HOST names."""
    scheme, _, path = settings.HOST.partition("unix:")
    return Path(path) if path and not scheme else None


def _url() -> str:
    return f"http://{settings.HOST}:{settings.PORT}/"


def _remove_stale_socket(path: Path) -> None:
    """Remove the socket of a server that was killed: no process accepts connections on it."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except OSError as error:
            raise _bind_error(str(error.strerror)) from None


@contextmanager
def _short_bind_errors() -> Iterator[None]:
    """Report an address that cannot be used as a one-line error instead of a traceback.

    Raises CommandError.
    """
    try:
        yield
    except RuntimeError as error:
        reason, is_os_error, _ = str(error).partition(" (os error")
        if not is_os_error:
            raise
        raise _bind_error(reason) from None


@contextmanager
def _metrics_server() -> Iterator[None]:
    where = getattr(settings, "METRICS", None)
    if where is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="auth-metrics-") as folder:
        # prometheus_client reads the variable when it is imported, which happens below and only if metrics are on.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        with ExitStack() as stack:
            serve_metrics = import_module("authproject.metrics_server").serve_metrics
            try:
                stack.enter_context(serve_metrics(*where, folder))
            except OSError as error:
                raise CommandError(
                    f"Cannot listen on {where[0]}, port {where[1]}: {error.strerror}. "
                    "Allowed: an AUTH_METRICS that is free on this machine."
                ) from None
            yield
