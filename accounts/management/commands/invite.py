"""Invites a person to sign up."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError

from accounts.errors import AuthError
from accounts.management.service_command import ServiceCommand
from accounts.users import invitations
from accounts.values.clients import NO_CLIENT


class Command(ServiceCommand):
    """The command `invite`."""

    help = (
        "Invites a person to sign up, with a link by email that works once. An earlier invitation of the address "
        "is revoked. The account has the invited address, which counts as verified."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments: the address, the roles, and how long the link is valid."""
        parser.add_argument("email", help="email address of the person")
        parser.add_argument(
            "--role",
            action="append",
            default=[],
            help="role to grant in addition to the role user; may be repeated",
        )
        parser.add_argument(
            "--days",
            type=_parse_days,
            default=invitations.DEFAULT_LIFETIME,
            help=f"number of days that the link is valid, from 1 to {invitations.MAX_LIFETIME.days} (default: 7)",
        )

    def handle(self, *, email: str, role: list[str], days: timedelta, **_: Any) -> None:
        """Store and mail the invitation."""
        try:
            invitation = invitations.invite(email, role, days, NO_CLIENT)
        except AuthError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Invited {invitation.email} until {invitation.expires_at:%Y-%m-%d %H:%M} UTC.")


def _parse_days(text: str) -> timedelta:
    highest = invitations.MAX_LIFETIME.days
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= highest):
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to {highest}")
    return timedelta(days=int(text))
