"""The Prometheus endpoint: metrics of all workers and the state of the database, on a port of its own."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import DatabaseError
from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from accounts.databases import connection_of
from accounts.models import User

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
    registry.register(DatabaseCollector())
    server, thread = start_http_server(port, address, registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
