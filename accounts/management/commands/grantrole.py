"""Grants roles to a user."""

from collections.abc import Sequence

from accounts.management.role_command import RoleCommand
from accounts.models import User
from accounts.users import roles
from accounts.values.clients import NO_CLIENT


class Command(RoleCommand):
    """The command `grantrole`."""

    help = "Grants roles to a user. The user's next request requires a token refresh, which adds the roles."

    def change(self, user: User, names: Sequence[str]) -> None:
        """Grant the roles."""
        roles.grant(user, names, NO_CLIENT)
