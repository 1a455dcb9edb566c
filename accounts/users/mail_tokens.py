"""Issue and verify tokens sent by email, which prove that their holder reads the mailbox of an account.

A token contains a user id, is signed with SECRET_KEY under a salt for its purpose, and expires after
AUTH_MAIL_TOKEN_LIFETIME. Nothing is stored. The token carries a proof, an HMAC over the values that must not have
changed since it was issued:

- the email address;
- the security stamp, which changes with the password and on deactivation. Therefore a token can reset a password
  only once, and a password change invalidates all tokens of the user.

SECRET_KEY alone is not enough to forge a token, because the stamp is 63 random bits in the database.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum

from django.conf import settings
from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.conf import auth_settings
from accounts.errors import MailTokenInvalid, Throttled
from accounts.history.events import Event, record
from accounts.history.known_devices import accepted_origins
from accounts.limits import attempts
from accounts.models import NO_USER_ID, User
from accounts.values.clients import Client
from accounts.values.identifiers import email_key

_MAX_LENGTH = 512  # characters; longer than any issued token


class Purpose(StrEnum):
    """What a token may be used for. A token issued for one purpose is invalid for another."""

    RESET_PASSWORD = "reset_password"  # noqa: S105  a purpose, not a secret
    VERIFY_EMAIL = "verify_email"


def find_recipient(email: str, client: Client) -> int | None:
    """Return the id of the user to send a token to, or NO_USER_ID if no account has the address.

    Returns None if the address has received too many emails. The response to the client must be the same in all
    three cases, so that it does not reveal whether an account exists.

    Raises Throttled if the network of the client has requested too many emails.
    """
    networks = [origin.network for origin in accepted_origins(client)]
    users = User.objects.with_email(email).with_known_network(*networks)
    # Fetch two columns only: building a User for a known address would take measurably longer.
    columns = ("pk", "knows_network")  # `knows_network` is an annotation, unknown to mypy
    user_id, is_known_network = users.values_list(*columns).first() or (NO_USER_ID, False)
    with _recording_lockouts(client):
        may_be_mailed = attempts.allow_mail_request(client, email_key(email), is_known_network=is_known_network)
    if not may_be_mailed:
        return None
    return user_id


def issue(purpose: Purpose, user: User) -> str:
    """Issue a token for a user and a purpose."""
    return _signer(purpose).sign_object([user.pk, _proof(user)])


def find_user(purpose: Purpose, token: str, client: Client) -> User:
    """Return the user whom a token was issued for. An invalid token counts as a failed attempt.

    Raises MailTokenInvalid if the token was used, has expired, or was never issued for this purpose, without
    revealing which. Raises Throttled if the network of the client has reached its limit.
    """
    with _recording_lockouts(client):
        attempt = attempts.count_for_address(client)
    lifetime: timedelta = auth_settings().mail_token_lifetime
    if len(token) > _MAX_LENGTH or not token.isascii():
        raise MailTokenInvalid
    try:
        user_id, proof = _signer(purpose).unsign_object(token, max_age=lifetime)
    except signing.BadSignature:
        raise MailTokenInvalid from None
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or not _is_proof(proof, user):
        raise MailTokenInvalid
    attempt.uncount()
    return user


@contextmanager
def _recording_lockouts(client: Client) -> Iterator[None]:
    try:
        yield
    except Throttled:
        record(Event.MAIL_LOCKED_OUT, client=client)
        raise


def _signer(purpose: Purpose) -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=f"accounts.mail_tokens.{purpose}")


def _is_proof(proof: str, user: User) -> bool:
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return any(constant_time_compare(proof, _proof(user, key)) for key in keys)


def _proof(user: User, server_key: str | None = None) -> str:
    """Return the proof of a user's state, under SECRET_KEY by default."""
    state = f"{user.security_stamp}:{user.email_key}"
    return salted_hmac("accounts.mail_tokens", state, server_key, algorithm="sha256").hexdigest()
