"""What commands that act on a user have in common."""

from django.core.management.base import CommandError

from accounts.models import User


def find_user(identifier: str) -> User:
    """Return the user whom a username or an e-mail address names.

    Raises CommandError.
    """
    user = User.objects.identified_by(identifier).first()
    if user is None:
        raise CommandError(f"No user is called {identifier!r}.")
    return user
