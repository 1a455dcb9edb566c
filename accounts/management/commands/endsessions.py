"""Ends all sessions of some users, or of every user."""

from argparse import ArgumentParser
from typing import Any

from accounts.management.arguments import find_user
from accounts.management.service_command import ServiceCommand
from accounts.models import EndReason, RefreshToken
from accounts.sessions import lifecycle
from accounts.values.clients import NO_CLIENT


class Command(ServiceCommand):
    """The command `endsessions`."""

    help = (
        "Ends all sessions of the given users, or of every user, who then have to sign in again. Their access "
        "tokens are rejected from the next request on. Safe to interrupt and to run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments: users, or --everyone."""
        owners = parser.add_mutually_exclusive_group(required=True)
        owners.add_argument("username", nargs="*", default=[], help="username or email address of the user")
        owners.add_argument("--everyone", action="store_true", help="end the sessions of all users")

    def handle(self, *, username: list[str], everyone: bool, **_: Any) -> None:
        """End the sessions, and print their number."""
        selected = RefreshToken.objects.all()
        if not everyone:
            selected = selected.filter(owner__in=[find_user(name) for name in username])
        count = lifecycle.end_many(selected, EndReason.REVOKED, NO_CLIENT)
        self.stdout.write(f"Ended {count} session(s).")
