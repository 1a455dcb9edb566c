"""Deactivates a user and ends all of the user's sessions."""

from argparse import ArgumentParser
from typing import Any

from accounts.management.arguments import find_user
from accounts.management.service_command import ServiceCommand
from accounts.users import activation
from accounts.values.clients import NO_CLIENT


class Command(ServiceCommand):
    """The command `deactivateuser`."""

    help = "Deactivates a user, who can no longer sign in, and ends all of the user's sessions permanently."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the user argument."""
        parser.add_argument("username", help="username or email address of the user")

    def handle(self, *, username: str, **_: Any) -> None:
        """Deactivate the user."""
        user = find_user(username)
        activation.deactivate(user, NO_CLIENT)
        self.stdout.write(f"Deactivated {user.username} and ended all sessions of the user.")
