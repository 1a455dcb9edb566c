from collections.abc import Sequence

from accounts.management.role_command import RoleCommand
from accounts.models import User
from accounts.users import roles
from accounts.values.clients import NO_CLIENT


class Command(RoleCommand):
    """Grant roles."""

    help = "Grants roles to a user. The user's next request is asked to refresh its token, which brings them."

    def change(self, user: User, names: Sequence[str]) -> None:
        """Grant them."""
        roles.grant(user, names, NO_CLIENT)
