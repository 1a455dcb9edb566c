"""Create an account at sign-up, or report every validation error at once."""

import secrets
from collections.abc import Sequence

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.utils import timezone

from accounts.conf import auth_settings
from accounts.databases import atomic
from accounts.errors import EmailTaken, InvalidRequest, InvitationInvalid, RoleNotAllowed, SignUpClosed, Throttled
from accounts.history import background, mail
from accounts.history.events import Event, record
from accounts.history.known_devices import digest_origin
from accounts.history.mail import MailTemplate
from accounts.limits import attempts
from accounts.models import DEFAULT_ROLE, Invitation, KnownOrigin, Role, User
from accounts.users import email_verification, invitations
from accounts.users.name_rules import generate_username, refuse_taken_names, validation_errors
from accounts.users.roles import refuse_unknown
from accounts.values.clients import Client
from accounts.values.identifiers import DECOY_DOMAIN, email_key, normalize, normalize_email


def register(  # noqa: PLR0913  keyword-only: the fields of a form
    *,
    username: str,
    email: str,
    password: str,
    fullname: str,
    roles: Sequence[str],
    invitation: str = "",
    language: str = "",
    client: Client,
) -> User:
    """Create an account with the requested roles, or with the default role if none is requested.

    An empty username is replaced by a generated one unless AUTH_USERNAME_REQUIRED is on.

    `language` is that of emails to the user, or empty for the default one. `invitation` is an emailed token. With
    it, the account has the invited address, which counts as verified, and the roles of the invitation as well.

    If AUTH_HIDE_KNOWN_EMAIL is on and the address already has an account, the returned user is a decoy.

    Raises SignUpClosed, InvitationInvalid, InvalidRequest, UsernameTaken, EmailTaken, RoleUnknown, RoleNotAllowed
    or Throttled. No account is created then, and the invitation stays valid.
    """
    invited = _find_invitation(invitation, client)
    if not username and not auth_settings().username_required:
        username = generate_username()
    candidate = User(
        username=normalize(username), email=normalize_email(email), fullname=normalize(fullname), language=language
    )
    if invited:
        _use_invited_address(candidate, invited)
    _validate_sign_up(candidate, password)
    _count_sign_up(candidate, client)
    if invited:
        # A role may have been deleted since the invitation.
        granted = Role.objects.filter(name__in=invited.roles).values_list("name", flat=True)
        names = tuple(dict.fromkeys((*_allowed_roles(roles), *granted)))
        user = _create_invited(candidate, password, names, invited, client)
        record(Event.INVITATION_USED, client=client, user_id=user.pk, invitation=invited.pk)
    else:
        names = _allowed_roles(roles)
        user = _create_uninvited(candidate, password, names)
    KnownOrigin.objects.remember(user, *digest_origin(client), at=timezone.now())
    record(Event.USER_REGISTERED, client=client, user_id=user.pk, roles=list(names))
    return user


def _find_invitation(token: str, client: Client) -> Invitation | None:
    mode = auth_settings().signup
    if mode == "closed":
        raise SignUpClosed
    if token:
        return invitations.find(token, client)
    if mode == "invited":
        raise InvitationInvalid
    return None


def _use_invited_address(candidate: User, invitation: Invitation) -> None:
    if candidate.email and email_key(candidate.email) != email_key(invitation.email):
        raise InvalidRequest(errors={"email": ["The invitation is for another email address."]})
    candidate.email = invitation.email


def _create_invited(
    user: User, password: str, roles: Sequence[str], invitation: Invitation, client: Client
) -> User:
    now = timezone.now()
    user.email_verified_at = now  # The token proves that its holder reads the mailbox.
    user.set_password(password)  # before the transaction, which locks the invitation: hashing takes long
    try:
        with atomic(User):
            invitations.claim(invitation, now)
            released_id = _release_address(user.email)
            User.objects.store(user, roles)
            Invitation.objects.filter(pk=invitation.pk).update(used_by=user)
    except IntegrityError:
        refuse_taken_names(User(username=user.username, email=user.email))
        raise
    if released_id is not None:
        record(Event.EMAIL_CHANGED, client=client, user_id=released_id)
    return user


def _release_address(address: str) -> int | None:
    """Take an address from the account that has it without having verified it, and return the account's id.

    Otherwise, anyone could prevent an invitation from being accepted by signing up with its address. The account
    keeps its username, password and sessions. Returns None if no account was changed.
    """
    unverified = User.objects.with_email(address).filter(email_verified_at=None)
    holder = unverified.first()
    replacement = _undeliverable_address()
    # The condition is repeated, because the address may have been verified since.
    if holder is None or not unverified.update(email=replacement, email_key=email_key(replacement)):
        return None
    return holder.pk


def _undeliverable_address() -> str:
    return f"{secrets.token_hex(16)}@{DECOY_DOMAIN}"


def _create_uninvited(candidate: User, password: str, roles: Sequence[str]) -> User:
    try:
        refuse_taken_names(candidate)
        user = _create_user(candidate, candidate.email, password, roles)
    except EmailTaken:
        if not auth_settings().hide_known_email:
            raise
        return _create_decoy(candidate, password, roles)
    email_verification.send_link(user)
    return user


def _create_user(candidate: User, email: str, password: str, roles: Sequence[str]) -> User:
    pending_since = None if auth_settings().unverified_signin else timezone.now()
    fields = {
        "fullname": candidate.fullname,
        "language": candidate.language,
        "pending_since": pending_since,
    }
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
    decoy = _create_user(candidate, _undeliverable_address(), password, roles)
    decoy.email = candidate.email  # for the response only; not saved
    background.MAIL.after_commit(_notify_existing_owner, candidate.email)
    return decoy


def _notify_existing_owner(email: str) -> None:
    # Send to the stored address: the typed one may be another mailbox that only has the same comparison key.
    for user in User.objects.with_email(email).filter(is_active=True):
        mail.send(MailTemplate.ALREADY_REGISTERED, user.email, language=user.language)


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
