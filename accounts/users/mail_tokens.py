"""Tokens that are mailed: who presents one reads the mail of an account's address.

A token names a user and a purpose, is signed with SECRET_KEY, and is good for AUTH_MAIL_TOKEN_LIFETIME. Nothing is
stored. It carries a proof, an HMAC over what must not have changed since it was issued:

- the e-mail address;
- the security stamp, which changes with the password and with a deactivation: so a token that resets a password is
  good once, and any is useless after a change of password.

SECRET_KEY alone makes no token: the stamp is 63 random bits in the database.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum

from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.conf import auth_settings
from accounts.errors import MailTokenInvalid, Throttled
from accounts.history.events import Event, record
from accounts.history.known_devices import digest_origin
from accounts.limits import attempts
from accounts.models import NO_USER_ID, User
from accounts.values.clients import Client
from accounts.values.identifiers import comparison_key

_MAX_LENGTH = 512  # characters; beyond what is issued


class Purpose(StrEnum):
    """What a token is for. One for one purpose is none for another."""

    RESET_PASSWORD = "reset_password"  # noqa: S105  a purpose, not a secret
    VERIFY_EMAIL = "verify_email"


def find_recipient(email: str, client: Client) -> int | None:
    """Return the id of the user to mail a token to, whoever asks for it: NO_USER_ID where nobody has the address.

    None where the address was mailed often enough. The caller must not tell the three apart.

    Raises Throttled.
    """
    users = User.objects.with_email(email).with_known_network(digest_origin(client).network)
    # No more of a row than is needed: to make a user of it could be measured.
    columns = ("pk", "knows_network")  # the second is an annotation, which the checker does not see
    user_id, is_known_network = users.values_list(*columns).first() or (NO_USER_ID, False)
    with _recording_lockouts(client):
        may_be_mailed = attempts.allow_mail_request(
            client, comparison_key(email), is_known_network=is_known_network
        )
    if not may_be_mailed:
        return None
    return user_id


def issue(purpose: Purpose, user: User) -> str:
    """Sign a token for a user."""
    return _signer(purpose).sign_object([user.pk, _proof(user)])


def find_user(purpose: Purpose, token: str, client: Client) -> User:
    """Return the user whom a token was issued for; until that is known, it counts as a failed guess.

    Raises Throttled, or MailTokenInvalid for one that is used, too old, or was never issued: which is not told.
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
    if user is None or not constant_time_compare(proof, _proof(user)):
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


def _proof(user: User) -> str:
    state = f"{user.security_stamp}:{user.email_key}"
    return salted_hmac("accounts.mail_tokens", state, algorithm="sha256").hexdigest()
