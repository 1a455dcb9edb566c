"""The sessions of the signed-in user."""

from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import NotFound
from accounts.sessions import lifecycle
from api.authentication import claims_of
from api.http.pagination import paginate
from api.openapi.error_responses import CHANGE_ERRORS, TOKEN_ERRORS, error_responses
from api.serializers.inputs import SessionsQuery
from api.serializers.sessions import SessionOutput, session
from api.views.base import ProtectedView, client_of, user_of


class Sessions(ProtectedView):
    """The user's sessions."""

    @extend_schema(
        operation_id="sessions",
        summary="List the live sessions, newest first",
        parameters=[SessionsQuery],
        responses={200: SessionOutput(many=True)},
        extensions=error_responses(*TOKEN_ERRORS),
    )
    def get(self, request: Request) -> Response:
        """Return up to 100 sessions. The `Link` header leads to the next page."""
        current = claims_of(request).session_id
        sessions = lifecycle.live_sessions(user_of(request)).select_related("application")
        found = paginate(request, SessionsQuery, sessions)
        return Response([session(row, current) for row in found.rows], headers=found.headers)


class Session(ProtectedView):
    """One of the user's sessions."""

    @extend_schema(
        operation_id="endSession",
        summary="End one of the user's sessions",
        request=None,
        parameters=[
            OpenApiParameter(
                "session_id",
                OpenApiTypes.UUID,
                OpenApiParameter.PATH,
                description="The `id` from the list of sessions.",
            )
        ],
        responses={204: None},
        extensions=error_responses(*CHANGE_ERRORS, NotFound()),
    )
    def delete(self, request: Request, session_id: str) -> Response:
        """End the session. Sessions of other users are not found."""
        lifecycle.end_own(claims_of(request).user_id, UUID(session_id), client_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
