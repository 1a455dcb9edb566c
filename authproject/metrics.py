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
from accounts.sso.logout_delivery import Outcome

_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

REQUESTS = Counter("auth_requests", "Requests, by URL name and response status.", ["endpoint", "status"])
SECONDS = Histogram("auth_request_seconds", "Duration of requests, in seconds.", ["endpoint"], buckets=_BUCKETS)
EVENTS = Counter("auth_events", "Security events, as in the log.", ["event"])
APPLICATION_EVENTS = Counter(
    "auth_application_events",
    "Security events of applications that sign their users in here.",
    ["event", "client_id"],
)
ERRORS = Counter("auth_errors", "Log lines at level ERROR or above.")
LOGOUTS = Counter("auth_logout_deliveries", "Attempts to deliver a logout token, by outcome.", ["outcome"])
CONNECTIONS = Counter("auth_database_connections_opened", "Database connections opened.")


class _CountEvents(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        event, client_id = vars(record)["event"], vars(record).get("application")
        EVENTS.labels(event).inc()
        if client_id is not None:
            APPLICATION_EVENTS.labels(event, client_id).inc()


class _CountLogouts(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        outcome = vars(record).get("outcome")
        if outcome is not None:
            LOGOUTS.labels(outcome).inc()


class _CountErrors(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        ERRORS.inc()


class MetricsMiddleware:
    """Counts and times requests."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        for event in Event:
            EVENTS.labels(event.value)  # starts at 0, so that the first event is an increase
        for outcome in Outcome:
            LOGOUTS.labels(outcome.value)
        logging.getLogger("accounts.events").addHandler(_CountEvents())
        logging.getLogger("accounts.logout_delivery").addHandler(_CountLogouts())
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
