"""Check a password, in equal time for everybody, and under limits."""

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError
from django.utils import timezone

from accounts import guessing
from accounts.clients import Client
from accounts.conf import auth_settings
from accounts.errors import EmailUnverified, InvalidCredentials, InvalidPassword, Throttled
from accounts.events import Event, record
from accounts.guessing import Guess
from accounts.identifiers import comparison_key
from accounts.models import KnownOrigin, User, UserQuerySet
from accounts.models.origins import RENEWED_AFTER
from accounts.origins import origin_of
from accounts.validators import PASSWORD_LENGTH


def authenticate(identifier: str, password: str, client: Client) -> User:
    """Return the user whom a username or e-mail address and a password belong to.

    The answer takes one password hash, whether the user exists, is deactivated or neither.

    Raises InvalidCredentials, EmailUnverified, or Throttled before anything is hashed.
    """
    user = _find(_called(identifier), client)
    account = str(user.pk) if user else f"unknown {comparison_key(identifier)}"
    if not _is_right(user, account, password, client):
        record(Event.SIGN_IN_FAILED, client=client, user_id=_id(user))
        raise InvalidCredentials
    assert user is not None  # noqa: S101  or the password would not have been right
    if not user.is_email_verified and not auth_settings().unverified_signin:
        raise EmailUnverified
    if user.pending_since is not None:
        User.objects.filter(pk=user.pk).update(pending_since=None)  # not abandoned: verification is not asked for
    _recognise(user, client)
    return user


def confirm(user_id: int, password: str, client: Client) -> User:
    """Return a user who is signed in and gave the password once more.

    Raises InvalidPassword, or Throttled before anything is hashed.
    """
    user = _find(User.objects.get_queryset().filter(pk=user_id), client)
    if not _is_right(user, str(user_id), password, client):
        record(Event.REAUTHENTICATION_FAILED, client=client, user_id=user_id)
        raise InvalidPassword
    assert user is not None  # noqa: S101
    return user


def _called(identifier: str) -> UserQuerySet:
    users = User.objects.called(identifier)
    if "@" in comparison_key(identifier) and auth_settings().hide_known_email:
        # A sign-up under a known address leads to no account by that address; so none does before it is verified.
        return users.exclude(email_verified_at=None)
    return users


def _find(users: UserQuerySet, client: Client) -> User | None:
    return users.with_role_names().with_known_origin(*origin_of(client)).first()


def _is_right(user: User | None, account: str, password: str, client: Client) -> bool:
    """Tell whether it is the user's password; until that is known, the guess counts as a failure.

    Raises Throttled.
    """
    guess = _count(user, account, client)
    if not _has_password(user, password):
        return False
    guess.give_back()
    return True


def _count(user: User | None, account: str, client: Client) -> Guess:
    try:
        return guessing.count_sign_in(client, account, is_known_network=user is not None and user.knows_network)
    except Throttled:
        record(Event.SIGN_IN_LOCKED_OUT, client=client, user_id=_id(user))
        raise


def _has_password(user: User | None, password: str) -> bool:
    if len(password) > PASSWORD_LENGTH:
        return False  # No account has one; hashing it would only cost time.
    if user is None:
        make_password(password)
        return False
    # The password first: a deactivated user is refused no sooner than a wrong password is.
    return user.check_password(password) and user.is_active


def _id(user: User | None) -> int | None:
    return None if user is None else user.pk


def _recognise(user: User, client: Client) -> None:
    """Tell the owner of a device that was not seen before, and remember where the sign-in came from.

    Raises InvalidCredentials.
    """
    now = timezone.now()
    is_fresh = user.device_noted_at is not None and now - user.device_noted_at < RENEWED_AFTER
    if user.knows_network and is_fresh:
        return
    try:
        KnownOrigin.objects.remember(user, *origin_of(client), at=now)
    except IntegrityError:
        # The user was deleted since the password was checked.
        raise InvalidCredentials from None
    if user.knows_any_device and user.device_noted_at is None:
        record(Event.SIGN_IN_FROM_NEW_DEVICE, client=client, user_id=user.pk)
