"""Sign-up: make an account, or say everything that stands in its way."""

from collections.abc import Sequence

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.utils import timezone

from accounts import guessing
from accounts.clients import Client
from accounts.conf import auth_settings
from accounts.errors import EmailTaken, InvalidRequest, RoleNotAllowed, Throttled, UsernameTaken
from accounts.events import Event, record
from accounts.identifiers import normalize
from accounts.models import DEFAULT_ROLE, KnownNetwork, User
from accounts.roles import refuse_unknown


def register(  # noqa: PLR0913  keyword-only: they are what a form holds
    *, username: str, email: str, password: str, fullname: str, roles: Sequence[str], client: Client
) -> User:
    """Make an account with the roles asked for; without any, with the role that everybody has.

    Raises InvalidRequest, UsernameTaken, EmailTaken, RoleUnknown, RoleNotAllowed or Throttled. Then nobody
    is registered.
    """
    candidate = User(username=normalize(username), email=normalize(email), fullname=normalize(fullname))
    _refuse_invalid(candidate, password)
    _count(client)
    _refuse_taken(candidate)
    names = _allowed_roles(roles)
    try:
        user = User.objects.create_user(
            candidate.username, candidate.email, password, roles=names, fullname=candidate.fullname
        )
    except IntegrityError:
        # Somebody else took one of the names since they were looked up.
        _refuse_taken(candidate)
        raise
    KnownNetwork.objects.remember(user, guessing.digest_of("network", client.network), at=timezone.now())
    record(Event.USER_REGISTERED, client=client, user_id=user.pk, roles=list(names))
    return user


def _refuse_invalid(candidate: User, password: str) -> None:
    errors: dict[str, list[str]] = {}
    try:
        candidate.clean_fields(exclude=["password", "username_key", "email_key"])
    except ValidationError as error:
        errors |= error.message_dict
    try:
        validate_password(password, candidate)
    except ValidationError as error:
        errors["password"] = error.messages
    if errors:
        raise InvalidRequest(errors=errors)


def _count(client: Client) -> None:
    """Count the sign-up against its address, whatever becomes of it: it also tells which names are taken."""
    try:
        guessing.count_for_address(client)
    except Throttled:
        record(Event.SIGN_UP_LOCKED_OUT, client=client)
        raise


def _refuse_taken(candidate: User) -> None:
    if User.objects.called(candidate.username).exists():
        raise UsernameTaken
    if User.objects.called(candidate.email).exists():
        raise EmailTaken


def _allowed_roles(asked: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(asked)) or (DEFAULT_ROLE,)
    if not asked:
        return names
    refuse_unknown(names)
    if not set(names) <= set(auth_settings().signup_roles):
        raise RoleNotAllowed
    return names
