"""Removes the second factors of a user who lost them."""

from argparse import ArgumentParser
from typing import Any

from accounts.factors import changes
from accounts.management.arguments import find_user
from accounts.management.service_command import ServiceCommand
from accounts.values.clients import NO_CLIENT


class Command(ServiceCommand):
    """The command `resetfactors`."""

    help = (
        "Removes all authenticator apps, passkeys and recovery codes of a user who lost them, and ends the user's "
        "sessions. Make sure first that it is the user who asks. The user is notified by email."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the user argument."""
        parser.add_argument("username", help="username or email address of the user")

    def handle(self, *, username: str, **_: Any) -> None:
        """Remove the factors."""
        user = find_user(username)
        count = changes.reset(user, NO_CLIENT)
        self.stdout.write(f"Removed {count} second factors of {user.username} and ended all sessions of the user.")
