from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import roles
from accounts.clients import NO_CLIENT
from accounts.errors import RoleUnknown
from accounts.management.arguments import find_user, known_roles


class Command(BaseCommand):
    """Grant roles."""

    help = "Grants roles to a user. The user's next request is asked to refresh its token, which brings them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a user and role names."""
        parser.add_argument("username", help="a username or an e-mail address")
        parser.add_argument("role", nargs="+", help="user, moderator, admin, or another role that exists")

    def handle(self, *, username: str, role: list[str], **_: Any) -> None:
        """Grant them."""
        user = find_user(username)
        try:
            roles.grant(user, role, NO_CLIENT)
        except RoleUnknown as error:
            raise CommandError(f"{error} {known_roles()}") from None
        self.stdout.write(f"{user.username} has now: {', '.join(user.role_names) or 'no role'}.")
