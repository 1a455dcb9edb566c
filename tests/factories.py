"""Create users quickly: the hash of their password is computed once per algorithm."""

from functools import cache
from itertools import count
from typing import Any

from django.contrib.auth.hashers import get_hasher, make_password

from accounts.models import User

PASSWORD = "correct horse battery"
_numbers = count(1)


@cache
def _hash(algorithm: str) -> str:
    return make_password(PASSWORD, hasher=algorithm)


def password_hash() -> str:
    """Return the hash of `PASSWORD` with the current default hasher, which tests may override."""
    return _hash(get_hasher().algorithm)


def make_user(username: str = "", *, roles: tuple[str, ...] = ("user",), **fields: Any) -> User:
    name = username or f"user{next(_numbers)}"
    user = User(
        username=name, email=fields.pop("email", f"{name}@example.com"), password=password_hash(), **fields
    )
    user.save()
    # Not `set()`, which would invalidate tokens: the user has none yet.
    memberships = User.roles.through.objects
    memberships.bulk_create([memberships.model(user=user, role_id=role) for role in roles])
    return user


def make_administrator(username: str = "root") -> User:
    return make_user(username, is_staff=True, is_superuser=True)
