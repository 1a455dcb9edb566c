"""Activates a deactivated user."""

from argparse import ArgumentParser
from typing import Any

from accounts.management.arguments import find_user
from accounts.management.service_command import ServiceCommand
from accounts.users import activation
from accounts.values.clients import NO_CLIENT


class Command(ServiceCommand):
    """The command `activateuser`."""

    help = "Activates a deactivated user, who can then sign in again. Sessions that have ended are not restored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the user argument."""
        parser.add_argument("username", help="username or email address of the user")

    def handle(self, *, username: str, **_: Any) -> None:
        """Activate the user."""
        user = find_user(username)
        activation.activate(user, NO_CLIENT)
        self.stdout.write(f"Activated {user.username}, who can sign in again.")
