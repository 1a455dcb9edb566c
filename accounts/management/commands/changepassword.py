"""Changes a user's password and ends all of the user's sessions."""

from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from accounts.management.arguments import find_user
from accounts.management.service_command import ServiceCommand
from accounts.models import User
from accounts.users import passwords
from accounts.values.clients import NO_CLIENT
from accounts.values.passwords import normalize_password

MAX_ATTEMPTS = 3


class Command(ServiceCommand):
    """The command `changepassword`.

    It replaces Django's command, which saves the whole row of the user and would revert simultaneous changes.
    """

    help = "Changes a user's password and ends all of the user's sessions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the user argument."""
        parser.add_argument("username", help="username or email address of the user")

    def handle(self, *, username: str, **_: Any) -> None:
        """Prompt for the password twice, and store it."""
        user = find_user(username)
        for _attempt in range(MAX_ATTEMPTS):
            password = _prompt("New password: ")
            problem = self._problem(password, user)
            if problem is None:
                passwords.set_password(user, password, NO_CLIENT)
                self.stdout.write(f"Changed the password of {user.username} and ended all sessions of the user.")
                return
            self.stderr.write(problem)
        raise CommandError(f"The password was not changed after {MAX_ATTEMPTS} attempts.")

    def _problem(self, password: str, user: User) -> str | None:
        try:
            validate_password(password, user)
        except ValidationError as error:
            return " ".join(error.messages)
        repeated = normalize_password(_prompt("New password (again): "))
        return None if repeated == normalize_password(password) else "The passwords do not match."


def _prompt(text: str) -> str:
    try:
        return getpass(text)
    except EOFError:
        raise CommandError("The password was not changed: there is no terminal to ask for it.") from None
