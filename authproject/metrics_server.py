"""The Prometheus endpoint: all workers, their processes, the database and the version, on a port of its own."""

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import django
from django.db import DatabaseError
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client import CollectorRegistry, Metric, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from accounts.databases import connection_of
from accounts.models import LogoutDelivery, User
from authproject import __version__

_CONNECTIONS_BY_STATE = """
    SELECT COALESCE(state, 'of others'), COUNT(*) FROM pg_stat_activity
    WHERE datname = current_database() GROUP BY 1
"""


class WorkersCollector(Collector):
    """Sums up the metrics that the workers write to a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Return the merged metrics of all workers."""
        # A worker that is killed right after it created its file leaves an empty one, on which the library's own
        # collector fails from then on (prometheus/client_python#1199).
        written = [str(file) for file in self._folder.glob("*.db") if file.stat().st_size]
        merged: Iterable[Metric] = MultiProcessCollector.merge(written)  # type: ignore[no-untyped-call]  # the library is
        return merged


class DatabaseCollector(Collector):
    """Reports the state of the database at each scrape."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield whether the database responds and, on PostgreSQL, how many connections it has, by state."""
        is_up = GaugeMetricFamily("auth_database_up", "Whether the database responds.")
        by_state = GaugeMetricFamily("auth_database_connections", "Connections, by state.", labels=["state"])
        try:
            for state, number in _connections():
                by_state.add_metric([state], number)
            is_up.add_metric([], 1)
        except DatabaseError:
            is_up.add_metric([], 0)
        finally:
            connection_of(User).close()  # each scrape runs in a thread of its own
        yield is_up
        yield by_state


class LogoutsCollector(Collector):
    """Reports the logout tokens that applications have not received yet."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield how many there are and how old the oldest one is, unless the database does not respond."""
        waiting = GaugeMetricFamily("auth_logout_deliveries_waiting", "Logout tokens that wait for delivery.")
        oldest = GaugeMetricFamily(
            "auth_logout_deliveries_oldest_seconds", "Age of the oldest of them, in seconds, or 0."
        )
        with suppress(DatabaseError):
            figures = LogoutDelivery.objects.aggregate(number=Count("pk"), since=Min("created_at"))
            age = timezone.now() - figures["since"] if figures["since"] else timedelta()
            waiting.add_metric([], figures["number"])
            oldest.add_metric([], age.total_seconds())
        connection_of(LogoutDelivery).close()  # each scrape runs in a thread of its own
        yield waiting
        yield oldest


class ProcessesCollector(Collector):
    """Reports memory, CPU time, open files and start time of the server process and of each worker (Linux only).

    The library's own collector reports only the process that it runs in.
    """

    def collect(self) -> Iterable[Metric]:
        """Return the metrics, with the label `pid`."""
        merged: dict[str, Metric] = {}
        for pid in ("self", *_child_pids()):
            for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                family = merged.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                label = {"pid": str(os.getpid()) if pid == "self" else pid}
                for sample in metric.samples:
                    family.add_sample(sample.name, label, sample.value)
        return merged.values()


class BuildCollector(Collector):
    """Reports the versions of the service, of Django and of Python."""

    def collect(self) -> Iterable[Metric]:
        """Return one sample, whose labels are the versions."""
        versions = {
            "version": __version__,
            "django": django.get_version(),
            "python": platform.python_version(),
        }
        return [InfoMetricFamily("auth_build", "The running version.", value=versions)]


def _child_pids() -> list[str]:
    """Return the ids of the workers. Each thread of this process lists the processes that it started."""
    return [pid for children in Path("/proc/self/task").glob("*/children") for pid in children.read_text().split()]


def _connections() -> list[tuple[str, int]]:
    connection = connection_of(User)
    with connection.cursor() as cursor:
        cursor.execute(_CONNECTIONS_BY_STATE if connection.vendor == "postgresql" else "SELECT 1 WHERE 1 = 0")
        return list(cursor.fetchall())


@contextmanager
def serve_metrics(address: str, port: int, folder: str) -> Iterator[None]:
    """Serve the metrics in `folder` while the block runs."""
    registry = CollectorRegistry()
    registry.register(WorkersCollector(Path(folder)))
    registry.register(ProcessesCollector())
    registry.register(DatabaseCollector())
    registry.register(LogoutsCollector())
    registry.register(BuildCollector())
    server, thread = start_http_server(port, address, registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
