"""Liveness and readiness probes."""

from django.db import ProgrammingError
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
    """Whether the database is reachable and migrated, and the cache reachable."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Query the database and the cache.

        Raises Unavailable.
        """
        try:
            with connection_of(User).cursor() as cursor:
                cursor.execute(f"SELECT 1 FROM {User._meta.db_table} LIMIT 1")  # noqa: S608  the name is ours
        except ProgrammingError:  # the tables are missing: `migrate` was not run
            raise Unavailable from None
        if not counters().check():
            raise Unavailable
        return Response({"status": "ok"})
