"""The base of the commands `grantrole` and `revokerole`."""

from abc import abstractmethod
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError

from accounts.errors import RoleUnknown
from accounts.management.arguments import find_user
from accounts.management.service_command import ServiceCommand
from accounts.models import Role, User


class RoleCommand(ServiceCommand):
    """A command that changes the roles of one user, and prints the roles after the change."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments: the user, and one or more roles."""
        parser.add_argument("username", help="username or email address of the user")
        parser.add_argument("role", nargs="+", help="user, moderator, admin, or another existing role")

    def handle(self, *, username: str, role: list[str], **_: Any) -> None:
        """Change the roles, and print those that the user has now."""
        user = find_user(username)
        try:
            self.change(user, role)
        except RoleUnknown as error:
            names = Role.objects.order_by("name").values_list("name", flat=True)
            raise CommandError(f"{error} Existing roles: {', '.join(names)}.") from None
        self.stdout.write(f"Roles of {user.username}: {', '.join(user.role_names) or 'none'}.")

    @abstractmethod
    def change(self, user: User, names: Sequence[str]) -> None:
        """Change the roles of the user.

        Raises RoleUnknown if a role does not exist.
        """
