"""Revokes roles from a user."""

from collections.abc import Sequence

from accounts.management.role_command import RoleCommand
from accounts.models import User
from accounts.users import roles
from accounts.values.clients import NO_CLIENT


class Command(RoleCommand):
    """The command `revokerole`."""

    help = "Revokes roles from a user. This takes effect with the user's next request."

    def change(self, user: User, names: Sequence[str]) -> None:
        """Revoke the roles."""
        roles.revoke(user, names, NO_CLIENT)
