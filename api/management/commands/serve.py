import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server import Server

from accounts.conf import auth_settings
from accounts.keys.key_ring import key_ring
from accounts.keys.rotation import follow_setting

STOP_TIMEOUT = 30  # seconds that requests in flight have
HEAD_TIMEOUT = 10  # seconds for a request's line and headers, and in which a connection may be idle
MAX_HEAD_SIZE = 64 * 1024  # bytes of request line and headers


def _let_starting_workers_terminate() -> None:
    """Let a worker stop that is told to while it starts.

    It is forked with its parent's handlers, which do nothing in it: it would be waited for, and killed at last.
    Nor may it be told before it has the right ones.
    """
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM]),
        after_in_child=_restore_sigterm,
    )


def _restore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


class Command(BaseCommand):
    """Run the production server."""

    help = "Serves on HOST and PORT, with WORKERS processes, until it gets SIGTERM or SIGINT."

    def handle(self, **_: Any) -> None:
        """Check what every worker needs, then serve."""
        own = auth_settings()
        follow_setting(own.keys_dir, own.algorithm)
        key_ring()
        _let_starting_workers_terminate()
        self.stdout.write(f"Serving on http://{settings.HOST}:{settings.PORT}/ (admin: /admin/, docs: /api/docs)")
        with _metrics_server(), _short_bind_errors():
            Server(
                "authproject.rsgi:application",
                address=settings.HOST,
                port=settings.PORT,
                interface=Interfaces.RSGI,
                # Where it may be HTTP/2 as well, a connection that sends nothing is kept for good.
                http=HTTPModes.http1,
                http1_settings=HTTP1Settings(
                    header_read_timeout=HEAD_TIMEOUT * 1000, max_buffer_size=MAX_HEAD_SIZE
                ),
                websockets=False,
                workers=settings.WORKERS,
                respawn_failed_workers=True,
                workers_kill_timeout=STOP_TIMEOUT,
            ).serve()


@contextmanager
def _short_bind_errors() -> Iterator[None]:
    """Say that the address cannot be had as other settings are said to be wrong, and not by a page of traceback.

    Raises CommandError.
    """
    try:
        yield
    except RuntimeError as error:
        reason, is_os_error, _ = str(error).partition(" (os error")
        if not is_os_error:
            raise
        where = f"{settings.HOST}:{settings.PORT}"
        raise CommandError(
            f"Nothing can be served on {where}: {reason}. Allowed: a HOST and PORT that are free here."
        ) from None


@contextmanager
def _metrics_server() -> Iterator[None]:
    where = getattr(settings, "METRICS", None)
    if where is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="auth-metrics-") as folder:
        # The library looks for it when it is loaded, which is now and, where nobody looks at metrics, never.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        with import_module("authproject.metrics_server").serve_metrics(*where, folder):
            yield
