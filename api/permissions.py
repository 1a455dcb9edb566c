"""Who may pass.

Nothing here or below it imports REST framework's views, which import this where a project's settings name it.
"""

from typing import Any, ClassVar

from django.utils import timezone
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.errors import RoleRequired
from accounts.tokens import access_tokens
from api.authentication import claims_of


class SignedIn(BasePermission):
    """Lets every signed-in user pass."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Tell that the user may pass.

        Raises TokenMissing.
        """
        claims_of(request)
        return True


class RecentlyAuthenticated(SignedIn):
    """Lets those pass who gave their password a moment ago, at the sign-in or at a step-up."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Tell that the user may pass.

        Raises TokenMissing or RecentAuthenticationRequired.
        """
        access_tokens.require_recent_authentication(claims_of(request), at=timezone.now())
        return True


class HasRole(SignedIn):
    """Lets those pass whose token says the role; `ver` vouches that it is still so. Subclasses name it: `role`."""

    role: ClassVar[str]

    def has_permission(self, request: Request, view: Any) -> bool:
        """Tell that the user may pass.

        Raises TokenMissing or RoleRequired.
        """
        if self.role not in claims_of(request).roles:
            raise RoleRequired(self.role)
        return True


class Moderator(HasRole):
    """Lets moderators pass."""

    role = "moderator"


class Admin(HasRole):
    """Lets admins pass."""

    role = "admin"
