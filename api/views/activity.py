"""The security history of the signed-in user."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Activity
from api.authentication import claims_of
from api.http.pagination import paginate
from api.openapi.error_responses import TOKEN_ERRORS, error_responses
from api.serializers.inputs import ActivityQuery
from api.serializers.sessions import ActivityOutput, activity
from api.views.base import ProtectedView


class ActivityList(ProtectedView):
    """The user's security history."""

    @extend_schema(
        operation_id="activity",
        summary="List the security history, newest first",
        parameters=[ActivityQuery],
        responses={200: ActivityOutput(many=True)},
        extensions=error_responses(*TOKEN_ERRORS),
    )
    def get(self, request: Request) -> Response:
        """Return up to 100 entries. The `Link` header leads to the next page."""
        history = Activity.objects.filter(user=claims_of(request).user_id).order_by("-pk")
        found = paginate(request, ActivityQuery, history)
        return Response([activity(entry) for entry in found.rows], headers=found.headers)
