"""What granting and taking roles have in common."""

from abc import abstractmethod
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.errors import RoleUnknown
from accounts.management.arguments import find_user
from accounts.models import Role, User


class RoleCommand(BaseCommand):
    """Changes the roles of one user."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a user and role names."""
        parser.add_argument("username", help="a username or an e-mail address")
        parser.add_argument("role", nargs="+", help="user, moderator, admin, or another role that exists")

    def handle(self, *, username: str, role: list[str], **_: Any) -> None:
        """Change them, and say what the user has now."""
        user = find_user(username)
        try:
            self.change(user, role)
        except RoleUnknown as error:
            names = Role.objects.order_by("name").values_list("name", flat=True)
            raise CommandError(f"{error} Roles are: {', '.join(names)}.") from None
        self.stdout.write(f"{user.username} has now: {', '.join(user.role_names) or 'no role'}.")

    @abstractmethod
    def change(self, user: User, names: Sequence[str]) -> None:
        """Do what the command is for.

        Raises RoleUnknown.
        """
