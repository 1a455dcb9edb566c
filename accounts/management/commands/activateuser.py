from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accounts.management.arguments import find_user
from accounts.users import activation
from accounts.values.clients import NO_CLIENT


class Command(BaseCommand):
    """Activate a user."""

    help = "Lets a deactivated user sign in again. Sessions that ended stay ended."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a user."""
        parser.add_argument("username", help="a username or an e-mail address")

    def handle(self, *, username: str, **_: Any) -> None:
        """Activate the user."""
        user = find_user(username)
        activation.activate(user, NO_CLIENT)
        self.stdout.write(f"{user.username} may sign in again.")
