"""Sign-up: make an account, or say everything that stands in its way."""

import secrets
from collections.abc import Sequence

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.utils import timezone

from accounts.conf import auth_settings
from accounts.errors import EmailTaken, InvalidRequest, RoleNotAllowed, Throttled
from accounts.history import background, mail
from accounts.history.events import Event, record
from accounts.history.known_devices import digest_origin
from accounts.history.mail import MailTemplate
from accounts.limits import attempts
from accounts.models import DEFAULT_ROLE, KnownOrigin, User
from accounts.users import email_verification
from accounts.users.name_rules import refuse_taken_names, validation_errors
from accounts.users.roles import refuse_unknown
from accounts.values.clients import Client
from accounts.values.identifiers import comparison_key, normalize

DECOY_DOMAIN = "decoy.invalid"
"""Reserved by RFC 2606: no mail goes there, and nobody verifies an address there."""


def register(  # noqa: PLR0913  keyword-only: they are what a form holds
    *, username: str, email: str, password: str, fullname: str, roles: Sequence[str], client: Client
) -> User:
    """Make an account with the roles asked for; without any, with the role that everybody has.

    Where AUTH_HIDE_KNOWN_EMAIL is on and the address has an account, the user that is returned is a decoy.

    Raises InvalidRequest, UsernameTaken, EmailTaken, RoleUnknown, RoleNotAllowed or Throttled. Then nobody
    is registered.
    """
    candidate = User(username=normalize(username), email=normalize(email), fullname=normalize(fullname))
    _validate_sign_up(candidate, password)
    _count_sign_up(candidate, client)
    names = _allowed_roles(roles)
    try:
        refuse_taken_names(candidate)
        user = _create_user(candidate, candidate.email, password, names)
        email_verification.send_link(user)
    except EmailTaken:
        if not auth_settings().hide_known_email:
            raise
        user = _create_decoy(candidate, password, names)
    KnownOrigin.objects.remember(user, *digest_origin(client), at=timezone.now())
    record(Event.USER_REGISTERED, client=client, user_id=user.pk, roles=list(names))
    return user


def _create_user(candidate: User, email: str, password: str, roles: Sequence[str]) -> User:
    pending_since = None if auth_settings().unverified_signin else timezone.now()
    fields = {"fullname": candidate.fullname, "pending_since": pending_since}
    try:
        return User.objects.create_user(candidate.username, email, password, roles=roles, **fields)
    except IntegrityError:
        # Somebody else took one of the names since they were looked up.
        refuse_taken_names(candidate)
        raise


def _create_decoy(candidate: User, password: str, roles: Sequence[str]) -> User:
    """Make an account that looks like the one asked for to whoever asked, and that nobody can ever use.

    It takes the username, and a right password is told that the address is not verified. So neither the answer,
    nor its time, nor a second sign-up, nor a sign-in tells that the address has an account.
    """
    decoy = _create_user(candidate, f"{secrets.token_hex(16)}@{DECOY_DOMAIN}", password, roles)
    decoy.email = candidate.email  # in the answer alone
    background.MAIL.after_commit(_notify_existing_owner, candidate.email)
    return decoy


def _notify_existing_owner(email: str) -> None:
    # To the address as it is stored: the one that was typed may be somebody else's that only compares alike.
    for user in User.objects.with_email(email).filter(is_active=True):
        mail.send(MailTemplate.ALREADY_REGISTERED, user.email)


def _validate_sign_up(candidate: User, password: str) -> None:
    errors = validation_errors(candidate)
    try:
        validate_password(password, candidate)
    except ValidationError as error:
        errors["password"] = error.messages
    if errors:
        raise InvalidRequest(errors=errors)


def _count_sign_up(candidate: User, client: Client) -> None:
    """Count the sign-up, whatever becomes of it: it sends a mail, and tells which names are taken."""
    try:
        attempts.count_sign_up(client, comparison_key(candidate.email))
    except Throttled:
        record(Event.SIGN_UP_LOCKED_OUT, client=client)
        raise


def _allowed_roles(requested: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(requested)) or (DEFAULT_ROLE,)
    if not requested:
        return names
    refuse_unknown(names)
    if not set(names) <= set(auth_settings().signup_roles):
        raise RoleNotAllowed
    return names
