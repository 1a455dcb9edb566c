"""Validate the names and the language of an account, and reject names that are already taken."""

import base64
import secrets
from collections.abc import Collection

from django.core.exceptions import ValidationError

from accounts.errors import EmailTaken, UsernameTaken
from accounts.models import User

NAMES = frozenset({"username", "email", "fullname"})
PROFILE_FIELDS = NAMES | {"language"}


def generate_username() -> str:
    """Return a username such as `user-mfrggzdfmztwq2lk`: its 80 random bits cannot be guessed."""
    return f"user-{base64.b32encode(secrets.token_bytes(10)).decode().lower()}"


def validation_errors(candidate: User, names: Collection[str] = PROFILE_FIELDS) -> dict[str, list[str]]:
    """Return the validation messages for the given fields of an unsaved user, by field name."""
    others = {field.name for field in User._meta.fields} - set(names)
    try:
        candidate.clean_fields(exclude=others)
    except ValidationError as error:
        return error.message_dict
    return {}


def refuse_taken_names(candidate: User) -> None:
    """Raise UsernameTaken or EmailTaken if another account has the username or email address."""
    others = User.objects.get_queryset().exclude(pk=candidate.pk)
    if others.identified_by(candidate.username).exists():
        raise UsernameTaken
    if others.with_email(candidate.email).exists():
        raise EmailTaken
