"""Finds the user that a command is called for."""

from django.core.management.base import CommandError

from accounts.models import User


def find_user(identifier: str) -> User:
    """Return the user with a username or email address.

    Raises CommandError if there is none.
    """
    user = User.objects.identified_by(identifier).first()
    if user is None:
        raise CommandError(f"User {identifier!r} does not exist.")
    return user
