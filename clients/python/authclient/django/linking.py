"""Map access tokens to the project's own users. A user is created the first time a token needs one.

A link between a subject (the user's id at the token service) and a user of the project is stored once as an
`Identity`, and never changes when an email address does. These rules prevent that someone takes over an account:

- An address counts only if the token says `email_verified`.
- `by_verified_email` links the user who has the address only if exactly one user of the project has it, and that
  user is linked to no other subject, and is neither staff nor superuser.
- In all other cases the subject gets a user of its own, without a usable password. It has the address only if no
  other user does: an address belongs to the first subject that brings it.
- Where the user model cannot store that user, for example because it requires a unique address and this one is
  taken, the request is refused with 403 `account_conflict`.
"""

import logging
import secrets
from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError, models, transaction
from rest_framework.exceptions import PermissionDenied

from authclient.django.models import Identity
from authclient.verifier import AccessToken

logger = logging.getLogger(__name__)

_ATTEMPTS = 2
"""A second attempt sees what another request stored in the meantime."""


class AccountConflict(PermissionDenied):
    """No user can be created for the token, because another user has the same email address."""

    default_code = "account_conflict"
    default_detail = "Another account uses this email address. Contact support."


def by_subject(token: AccessToken) -> Any:
    """Return the user who is linked to the token's subject; create one at the first request.

    Raises AccountConflict.
    """
    return _linked_user(token) or _link(token, _create_user)


def by_verified_email(token: AccessToken) -> Any:
    """Return the user who is linked to the token's subject; at the first request, link the user with its address.

    Only for projects whose own users have proved to own their addresses. Otherwise, someone who once registered
    here with another's address would share the account with its owner.

    Raises AccountConflict.
    """
    return _linked_user(token) or _link(token, _find_or_create_user)


def _linked_user(token: AccessToken) -> Any | None:
    identity = Identity.objects.select_related("user").filter(issuer=token.issuer, subject=token.subject).first()
    return identity and identity.user


def _link(token: AccessToken, choose_user: Callable[[AccessToken], Any]) -> Any:
    for _ in range(_ATTEMPTS):
        try:
            with transaction.atomic():
                user = choose_user(token)
                Identity.objects.create(issuer=token.issuer, subject=token.subject, user=user)
        except (IntegrityError, AccountConflict):
            user = _linked_user(token)
        if user is not None:
            return user
    logger.warning("No user can be created for subject %s of %s.", token.subject, token.issuer)
    raise AccountConflict


def _find_or_create_user(token: AccessToken) -> Any:
    return _find_unlinked_user(token) or _create_user(token)


def _find_unlinked_user(token: AccessToken) -> Any | None:
    owners = _owners(token.verified_email)
    if len(owners) != 1 or Identity.objects.filter(user=owners[0]).exists():
        return None
    [user] = owners
    is_privileged = getattr(user, "is_staff", False) or getattr(user, "is_superuser", False)
    return None if is_privileged else user


def _owners(email: str | None) -> list[Any]:
    """Return the users who have an email address."""
    field = _email_field()
    if email is None or field is None:
        return []
    users = get_user_model()._default_manager.filter(**{f"{field.name}__iexact": email})
    # Databases consider some different letters equal, such as a dotless i, which is another's address.
    return [user for user in users if _fold(getattr(user, field.name)) == _fold(email)]


def _fold(email: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in email)


def _create_user(token: AccessToken) -> Any:
    """Create a user whose name cannot be guessed and therefore not be reserved."""
    model, field = get_user_model(), _email_field()
    user = model(**{model.USERNAME_FIELD: f"account-{token.subject}-{secrets.token_hex(4)}"})
    if field is not None:
        setattr(user, field.name, _free_address(token, field))
    user.set_unusable_password()
    user.save()
    return user


def _free_address(token: AccessToken, field: "models.Field[Any, Any]") -> str | None:
    """Return the address for a new user, or the field's empty value.

    Raises AccountConflict if users sign in with their address and there is none.
    """
    email = token.verified_email
    if email is not None and not _owners(email):
        return email
    if field.name == get_user_model().USERNAME_FIELD:
        raise AccountConflict
    return None if field.null else ""


def _email_field() -> "models.Field[Any, Any] | None":
    model = get_user_model()
    try:
        field = model._meta.get_field(model.get_email_field_name())
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, models.Field) else None
