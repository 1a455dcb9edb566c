from typing import Any

from django.contrib.auth.management.commands import changepassword

from accounts import credentials
from accounts.clients import NO_CLIENT
from accounts.management.arguments import find_user


class Command(changepassword.Command):
    """Django's command, whose change of password is told like every other."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Ask for the password, store it, end the user's sessions."""
        answer = super().handle(*args, **options)
        credentials.follow_password_change(find_user(options["username"]), NO_CLIENT)
        return answer
