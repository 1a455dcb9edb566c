from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.management.arguments import find_user
from accounts.models import User
from accounts.users import passwords
from accounts.values.clients import NO_CLIENT

MAX_ATTEMPTS = 3


class Command(BaseCommand):
    """Change a user's password, in place of Django's command, which writes the whole row back."""

    help = "Changes a user's password and ends every session of the user."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a user."""
        parser.add_argument("username", help="a username or an e-mail address")

    def handle(self, *, username: str, **_: Any) -> None:
        """Ask for the password twice, and store it."""
        user = find_user(username)
        for _attempt in range(MAX_ATTEMPTS):
            password = getpass("New password: ")
            problem = self._problem(password, user)
            if problem is None:
                passwords.set_password(user, password, NO_CLIENT)
                self.stdout.write(f"The password of {user.username} is changed, and every session is over.")
                return
            self.stderr.write(problem)
        raise CommandError("The password was not changed.")

    def _problem(self, password: str, user: User) -> str | None:
        try:
            validate_password(password, user)
        except ValidationError as error:
            return " ".join(error.messages)
        return None if getpass("The same again: ") == password else "The two are not the same."
