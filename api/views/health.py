from django.db import connection
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import Unavailable
from accounts.limits.counters import counters
from api.views.base import PublicView


class Liveness(PublicView):
    """Whether this process answers at all."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Answer, asking nothing else."""
        return Response({"status": "ok"})


class Readiness(PublicView):
    """Whether what this process stands on can be reached."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Ask the database and the cache."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not counters().check():
            raise Unavailable
        return Response({"status": "ok"})
