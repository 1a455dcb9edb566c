"""Who may pass."""

from typing import ClassVar, cast

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.access_tokens import AccessClaims
from accounts.errors import RoleRequired, TokenMissing


class SignedIn(BasePermission):
    """Lets every signed-in user pass."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell that the user may pass.

        Raises TokenMissing.
        """
        if request.auth is None:
            raise TokenMissing
        return True


class _HasRole(SignedIn):
    """Lets those pass whose token says the role; `ver` vouches that it is still so."""

    role: ClassVar[str]

    def has_permission(self, request: Request, view: APIView) -> bool:
        super().has_permission(request, view)
        claims = cast("AccessClaims", request.auth)
        if self.role not in claims.roles:
            raise RoleRequired(self.role)
        return True


class Moderator(_HasRole):
    """Lets moderators pass."""

    role = "moderator"


class Admin(_HasRole):
    """Lets admins pass."""

    role = "admin"
