"""Permissions by the roles in access tokens."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from authclient.verifier import AccessToken, RoleRequired


def has_role(role: str) -> type[BasePermission]:
    """Return a permission class that accepts users who have exactly this role.

    A signed-in user without it gets 403 `role_required`.
    """

    class HasRole(BasePermission):
        message = RoleRequired(role).message
        code = RoleRequired.code

        def has_permission(self, request: Request, view: Any) -> bool:
            return isinstance(request.auth, AccessToken) and role in request.auth.roles

        def has_object_permission(self, request: Request, view: Any, obj: Any) -> bool:
            # With REST framework's default, True, `~has_role(...)` would refuse every object.
            return self.has_permission(request, view)

    return HasRole
