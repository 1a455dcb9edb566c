from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accounts.management.arguments import find_user
from accounts.models import EndReason, RefreshToken
from accounts.sessions import lifecycle
from accounts.values.clients import NO_CLIENT


class Command(BaseCommand):
    """End sessions."""

    help = (
        "Ends every session of the named users, or of everyone: they have to sign in again. The tokens that they "
        "hold are refused with the next request. Safe to interrupt, and to run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the users, or all of them."""
        owners = parser.add_mutually_exclusive_group(required=True)
        owners.add_argument("username", nargs="*", default=[], help="a username or an e-mail address")
        owners.add_argument("--everyone", action="store_true", help="end every session that there is")

    def handle(self, *, username: list[str], everyone: bool, **_: Any) -> None:
        """End them."""
        selected = RefreshToken.objects.all()
        if not everyone:
            selected = selected.filter(owner__in=[find_user(name) for name in username])
        count = lifecycle.end_many(selected, EndReason.REVOKED, NO_CLIENT)
        self.stdout.write(f"{count} sessions are over.")
