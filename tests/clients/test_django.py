"""authclient.django in views: permissions that are combined, and errors in the form of the service."""

from types import SimpleNamespace
from uuid import uuid4

import pytest
from authclient.django.errors import render_error
from authclient.django.permissions import has_role
from authclient.verifier import AccessToken, SecondFactorRequired
from django.core.exceptions import PermissionDenied
from django.http import Http404

MODERATOR = ("user", "moderator")


def request_with(*roles):
    token = AccessToken(
        issuer="https://auth.example.com", subject="1", session_id=uuid4(), roles=roles,
        auth_time=0, expires_at=0, claims={}, token_id="1",
    )  # fmt: skip
    return SimpleNamespace(auth=token)


@pytest.mark.parametrize(("roles", "is_allowed"), [(("user",), True), (MODERATOR, False)])
def test_a_role_can_be_excluded_for_objects_too(roles, is_allowed):
    permission = (~has_role("moderator"))()

    assert permission.has_permission(request_with(*roles), None) is is_allowed
    assert permission.has_object_permission(request_with(*roles), None, object()) is is_allowed


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (Http404("No such order."), 404, {"message": "No such order.", "code": "not_found"}),
        (PermissionDenied("Not yours."), 403, {"message": "Not yours.", "code": "permission_denied"}),
    ],
)
def test_exceptions_of_django_have_a_message_and_a_code(error, status, body):
    response = render_error(error, {})

    assert (response.status_code, response.data) == (status, body)


def test_a_missing_second_factor_has_the_challenge_of_rfc_9470():
    response = render_error(SecondFactorRequired(2), {})

    assert (response.status_code, response.data["code"]) == (403, "second_factor_required")
    assert 'error="insufficient_user_authentication"' in response["WWW-Authenticate"]
    assert response["WWW-Authenticate"].endswith('acr_values="2"')
