"""Permission classes for this API and for the views of a project that embeds it.

They work in any view and can be combined (`Editor | Moderator`). They look at `request.user`, so they also work
for users who were authenticated in another way, such as by a session or `force_authenticate`. An access token's
claims are used where there is one.

This module must not import REST framework's views, because they import it if a project's settings name it.
"""

from typing import Any, ClassVar

from django.utils import timezone
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.errors import RecentAuthenticationRequired, RoleRequired
from accounts.factor_errors import SecondFactorRequired
from accounts.tokens import access_tokens
from accounts.tokens.claims import AccessClaims
from accounts.tokens.service_claims import ServiceClaims
from accounts.values.authentication import SINGLE_FACTOR


class SignedIn(BasePermission):
    """Allows signed-in users."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether a user is signed in."""
        # The user of an access token is loaded lazily; asking it would cost a query.
        if isinstance(request.auth, AccessClaims):
            return True
        user: Any = request.user  # None, with UNAUTHENTICATED_USER as in this project's settings
        return user is not None and user.is_authenticated

    def has_object_permission(self, request: Request, view: Any, obj: Any) -> bool:
        """Return whether the user has the permission for an object: the same as for the view."""
        # With REST framework's default, True, `~Moderator` would refuse every object.
        return self.has_permission(request, view)


class RecentlyAuthenticated(SignedIn):
    """Allows users whose password was checked recently, at sign-in or in a step-up (RFC 9470).

    Only an access token says when that was: users who were authenticated in another way are refused.
    """

    code = RecentAuthenticationRequired.code

    @property
    def message(self) -> str:
        """The message of the response to a user who is refused."""
        return access_tokens.step_up_error().message

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the user's password was checked recently."""
        return isinstance(request.auth, AccessClaims) and access_tokens.is_recent(request.auth, at=timezone.now())


class HasRole(SignedIn):
    """Allows users with the role that the subclass declares as `role`.

    The role is read from the access token, which is current: a change of roles invalidates the token's `ver`. For
    users who were authenticated in another way, it is read from the database, unless it is one of
    AUTH_SECOND_FACTOR_ROLES: only an access token says that a second factor was presented.
    """

    role: ClassVar[str]
    lacks_second_factor = False

    @property
    def code(self) -> str:
        """The code of the response to a user who is refused."""
        return SecondFactorRequired.code if self.lacks_second_factor else RoleRequired.code

    @property
    def message(self) -> str:
        """The message of the response to a user who is refused."""
        return SecondFactorRequired.message if self.lacks_second_factor else RoleRequired(self.role).message

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the user has the role.

        If the token lacks it only because no second factor was presented, the response says so.
        """
        if isinstance(request.auth, ServiceClaims):
            return self.role in request.auth.roles
        if not super().has_permission(request, view):
            return False
        if self.role in _role_names(request):
            return True
        self.lacks_second_factor = _needs_second_factor(request, self.role)
        return False


class Moderator(HasRole):
    """Allows moderators."""

    role = "moderator"


class Admin(HasRole):
    """Allows admins."""

    role = "admin"


def _role_names(request: Request) -> tuple[str, ...]:
    if isinstance(request.auth, AccessClaims):
        return request.auth.roles
    return access_tokens.roles_at(SINGLE_FACTOR, getattr(request.user, "role_names", ()))


def _needs_second_factor(request: Request, role: str) -> bool:
    """Return whether the user lacks the role only because no second factor was presented. May run a query."""
    level = request.auth.level if isinstance(request.auth, AccessClaims) else SINGLE_FACTOR
    if role in access_tokens.roles_at(level, [role]):
        return False
    return role in getattr(request.user, "role_names", ())
