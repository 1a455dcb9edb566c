from collections.abc import Sequence

from accounts.management.role_command import RoleCommand
from accounts.models import User
from accounts.users import roles
from accounts.values.clients import NO_CLIENT


class Command(RoleCommand):
    """Take roles."""

    help = "Takes roles from a user. They are gone with the next request of the user."

    def change(self, user: User, names: Sequence[str]) -> None:
        """Take them."""
        roles.revoke(user, names, NO_CLIENT)
