"""Prometheus metrics of a worker. Imported only if AUTH_METRICS is set.

Security events are counted by a log handler, so that the code that records them does not depend on metrics.
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

REQUESTS = Counter("auth_requests", "Requests, by URL name and response status.", ["endpoint", "status"])
SECONDS = Histogram("auth_request_seconds", "Duration of requests, in seconds.", ["endpoint"], buckets=_BUCKETS)
EVENTS = Counter("auth_events", "Security events, as in the log.", ["event"])
APPLICATION_SIGN_INS = Counter("auth_application_sign_ins", "Sign-ins to applications.", ["client_id"])
ERRORS = Counter("auth_errors", "Log lines at level ERROR or above.")
CONNECTIONS = Counter("auth_database_connections_opened", "Database connections opened.")


class _CountEvents(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        event = vars(record)
        EVENTS.labels(event["event"]).inc()
        if event["event"] == Event.APPLICATION_SIGNED_IN:
            APPLICATION_SIGN_INS.labels(event["application"]).inc()


class _CountErrors(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        ERRORS.inc()


class MetricsMiddleware:
    """Counts and times requests."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        for event in Event:
            EVENTS.labels(event.value)  # starts at 0, so that the first event is an increase
        logging.getLogger("accounts.events").addHandler(_CountEvents())
        logging.getLogger().addHandler(_CountErrors(logging.ERROR))
        connection_created.connect(_count_connection)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Handle the request."""
        started_at = time.perf_counter()
        response = self._get_response(request)
        match = request.resolver_match
        endpoint = match.view_name if match else "none"
        SECONDS.labels(endpoint).observe(time.perf_counter() - started_at)
        REQUESTS.labels(endpoint, response.status_code).inc()
        return response


def _count_connection(**_: Any) -> None:
    CONNECTIONS.inc()
