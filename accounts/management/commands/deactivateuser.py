from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accounts.management.arguments import find_user
from accounts.users import activation
from accounts.values.clients import NO_CLIENT


class Command(BaseCommand):
    """Deactivate a user."""

    help = "Refuses a user from now on and ends every session of the user for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a user."""
        parser.add_argument("username", help="a username or an e-mail address")

    def handle(self, *, username: str, **_: Any) -> None:
        """Deactivate the user."""
        user = find_user(username)
        activation.deactivate(user, NO_CLIENT)
        self.stdout.write(f"{user.username} is deactivated, and every session is over.")
