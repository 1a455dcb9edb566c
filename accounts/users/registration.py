"""Create an account at sign-up, or report every validation error at once."""

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
from accounts.values.identifiers import email_key, normalize, normalize_email

DECOY_DOMAIN = "decoy.invalid"
"""The domain of decoy addresses. RFC 2606 reserves `.invalid`, so no email is ever delivered there."""


def register(  # noqa: PLR0913  keyword-only: the fields of a form
    *, username: str, email: str, password: str, fullname: str, roles: Sequence[str], client: Client
) -> User:
    """Create an account with the requested roles, or with the default role if none is requested.

    If AUTH_HIDE_KNOWN_EMAIL is on and the address already has an account, the returned user is a decoy.

    Raises InvalidRequest, UsernameTaken, EmailTaken, RoleUnknown, RoleNotAllowed or Throttled. No account is
    created then.
    """
    candidate = User(username=normalize(username), email=normalize_email(email), fullname=normalize(fullname))
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
        # Another sign-up has taken one of the names since the check.
        refuse_taken_names(candidate)
        raise


def _create_decoy(candidate: User, password: str, roles: Sequence[str]) -> User:
    """Create an account that looks like the requested one but can never be used, and notify the address's owner.

    The decoy occupies the username, and signing in to it with the right password fails because its address is
    unverified. Therefore neither the response, nor its time, nor a second sign-up, nor a sign-in reveals that the
    address has an account.
    """
    decoy = _create_user(candidate, f"{secrets.token_hex(16)}@{DECOY_DOMAIN}", password, roles)
    decoy.email = candidate.email  # for the response only; not saved
    background.MAIL.after_commit(_notify_existing_owner, candidate.email)
    return decoy


def _notify_existing_owner(email: str) -> None:
    # Send to the stored address: the typed one may be another mailbox that only has the same comparison key.
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
    """Count every valid sign-up, even if a name is taken: it sends an email or reveals which names exist."""
    try:
        attempts.count_sign_up(client, email_key(candidate.email))
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
