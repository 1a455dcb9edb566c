"""What a server counts of itself for Prometheus. Loaded only where AUTH_METRICS says that somebody looks.

What happens to accounts is counted where it is logged: nothing else has to know that it is counted.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.db.backends.signals import connection_created
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter, Histogram

from accounts.history.events import Event

_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

REQUESTS = Counter(
    "auth_requests", "Requests, by the name of the path and the answer's status.", ["endpoint", "status"]
)
SECONDS = Histogram("auth_request_seconds", "How long a request was worked on.", ["endpoint"], buckets=_BUCKETS)
EVENTS = Counter("auth_events", "What happened to accounts: the events of the log.", ["event"])
ERRORS = Counter("auth_errors", "Lines of the log at level ERROR and above.")
CONNECTIONS = Counter("auth_database_connections_opened", "Connections to the database that were opened.")


class _CountEvents(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        EVENTS.labels(vars(record)["event"]).inc()


class _CountErrors(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        ERRORS.inc()


class MetricsMiddleware:
    """Times every request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        for event in Event:
            EVENTS.labels(event.value)  # at 0 from the start, so that the first one is a rise
        logging.getLogger("accounts.events").addHandler(_CountEvents())
        logging.getLogger().addHandler(_CountErrors(logging.ERROR))
        connection_created.connect(_count_connection)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        started_at = time.perf_counter()
        response = self._get_response(request)
        match = request.resolver_match
        endpoint = match.view_name if match else "none"
        SECONDS.labels(endpoint).observe(time.perf_counter() - started_at)
        REQUESTS.labels(endpoint, response.status_code).inc()
        return response


def _count_connection(**_: Any) -> None:
    CONNECTIONS.inc()
