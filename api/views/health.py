"""Liveness and readiness probes."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.databases import connection_of
from accounts.errors import Unavailable
from accounts.limits.counters import counters
from accounts.models import User
from api.views.base import PublicView


class Liveness(PublicView):
    """Whether this process responds."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Respond without using the database or the cache."""
        return Response({"status": "ok"})


class Readiness(PublicView):
    """Whether the database and the cache are reachable."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Query the database and the cache.

        Raises Unavailable.
        """
        with connection_of(User).cursor() as cursor:
            cursor.execute("SELECT 1")
        if not counters().check():
            raise Unavailable
        return Response({"status": "ok"})
