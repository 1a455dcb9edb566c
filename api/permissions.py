"""Permission classes for this API and for the views of a project that embeds it.

This module must not import REST framework's views, because they import it if a project's settings name it.
"""

from typing import Any, ClassVar

from django.utils import timezone
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.errors import RoleRequired
from accounts.tokens import access_tokens
from api.authentication import claims_of


class SignedIn(BasePermission):
    """Allows signed-in users."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return True.

        Raises TokenMissing if the request has no access token.
        """
        claims_of(request)
        return True


class RecentlyAuthenticated(SignedIn):
    """Allows users whose password was checked recently, at sign-in or in a step-up (RFC 9470)."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return True.

        Raises TokenMissing or RecentAuthenticationRequired.
        """
        access_tokens.require_recent_authentication(claims_of(request), at=timezone.now())
        return True


class HasRole(SignedIn):
    """Allows users with the role that the subclass declares as `role`.

    The role is read from the token. It is current, because a change of roles invalidates the token's `ver`.
    """

    role: ClassVar[str]

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return True.

        Raises TokenMissing or RoleRequired.
        """
        if self.role not in claims_of(request).roles:
            raise RoleRequired(self.role)
        return True


class Moderator(HasRole):
    """Allows moderators."""

    role = "moderator"


class Admin(HasRole):
    """Allows admins."""

    role = "admin"
