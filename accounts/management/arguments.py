"""What commands that act on a user have in common."""

from django.core.management.base import CommandError

from accounts.models import Role, User


def find_user(identifier: str) -> User:
    """Return the user whom a username or an e-mail address names.

    Raises CommandError.
    """
    user = User.objects.called(identifier).first()
    if user is None:
        raise CommandError(f"No user is called {identifier!r}.")
    return user


def known_roles() -> str:
    """Name the roles that there are."""
    names = Role.objects.order_by("name").values_list("name", flat=True)
    return f"Roles are: {', '.join(names)}."
