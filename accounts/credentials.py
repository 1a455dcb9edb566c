"""Passwords: check one in equal time for everybody, and set one."""

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from accounts import guessing, sessions
from accounts.clients import Client
from accounts.errors import InvalidCredentials, Throttled
from accounts.events import Event, record
from accounts.guessing import Guess
from accounts.identifiers import comparison_key
from accounts.models import EndReason, KnownNetwork, User
from accounts.validators import PASSWORD_LENGTH


def authenticate(identifier: str, password: str, client: Client) -> User:
    """Return the user whom a username or e-mail address and a password belong to.

    The answer takes one password hash, whether the user exists, is deactivated or neither.

    Raises InvalidCredentials, or Throttled before anything is hashed.
    """
    network = guessing.digest_of("network", client.network)
    users = User.objects.with_role_names().with_known_network(network)
    user: User | None = users.called(identifier).first()
    guess = _count(identifier, user, client)
    has_password = _has_password(user, password)
    if user is None or not has_password:
        record(Event.SIGN_IN_FAILED, client=client, user_id=_id(user))
        raise InvalidCredentials
    guess.give_back()
    if not user.knows_network:
        _remember(user, network)
    return user


def set_password(user: User, new_password: str | None, client: Client, *, by: int | None = None) -> None:
    """Store a new password, or None for none, and end every session of the user.

    `by` is the id of the administrator who does it.
    """
    user.set_password(new_password)
    with transaction.atomic():
        user.save(update_fields=["password", "security_stamp"])
        User.objects.filter(pk=user.pk).update(token_version=F("token_version") + 1)
        sessions.end_all(user.pk, EndReason.PASSWORD_CHANGED, client, by=by)
    record(Event.PASSWORD_CHANGED, client=client, user_id=user.pk, by=by)


def _count(identifier: str, user: User | None, client: Client) -> Guess:
    """Count the guess, before it is known whether it is right."""
    account = str(user.pk) if user else f"unknown {comparison_key(identifier)}"
    try:
        return guessing.count_sign_in(client, account, is_known_network=user is not None and user.knows_network)
    except Throttled:
        record(Event.SIGN_IN_LOCKED_OUT, client=client, user_id=_id(user))
        raise


def _remember(user: User, network: str) -> None:
    try:
        KnownNetwork.objects.remember(user, network, at=timezone.now())
    except IntegrityError:
        # The user was deleted since the password was checked.
        raise InvalidCredentials from None


def _id(user: User | None) -> int | None:
    return None if user is None else user.pk


def _has_password(user: User | None, password: str) -> bool:
    if len(password) > PASSWORD_LENGTH:
        return False  # No account has one; hashing it would only cost time.
    if user is None:
        make_password(password)
        return False
    # The password first: a deactivated user is refused no sooner than a wrong password is.
    return user.check_password(password) and user.is_active
