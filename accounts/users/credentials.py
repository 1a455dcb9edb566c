"""Verify a password in the same time for every account, and limit failed attempts."""

from functools import cache

from django.db import IntegrityError
from django.utils import timezone

from accounts.conf import auth_settings
from accounts.databases import columns_of, connection_of
from accounts.errors import EmailUnverified, InvalidCredentials, InvalidPassword, Throttled
from accounts.fields import RoleNames
from accounts.history.events import Event, record
from accounts.history.known_devices import accepted_origins, digest_origin
from accounts.limits import attempts
from accounts.limits.attempts import CountedAttempt
from accounts.models import KnownOrigin, User
from accounts.models.origins import RENEWAL_INTERVAL
from accounts.models.user_queries import comparison_lookup
from accounts.passwords import equal_cost
from accounts.values.clients import Client
from accounts.values.passwords import MAX_PASSWORD_LENGTH, normalize_password

# Raw SQL: building this query with the ORM took a third of the time that a sign-in spends outside the hash.
# A device known under a fallback only counts as not seen lately, so that a sign-in stores it under SECRET_KEY.
_FIND_USER = """
    SELECT {columns}, {role_names} AS fetched_role_names,
        EXISTS (SELECT 1 FROM accounts_authenticator
            WHERE owner_id = accounts_user.id AND confirmed_at IS NOT NULL) AS fetched_has_authenticator,
        EXISTS (SELECT 1 FROM accounts_passkey WHERE owner_id = accounts_user.id) AS fetched_has_passkey,
        EXISTS ({known_origins} AND digest IN ({networks})) AS knows_network,
        EXISTS ({known_origins} AND kind = 'device') AS knows_any_device,
        EXISTS ({known_origins} AND digest IN ({devices})) AS knows_device,
        EXISTS ({known_origins} AND digest = %(device0)s AND since > %(renew_before)s) AS has_used_device_lately
    FROM accounts_user WHERE {column} = %(value)s
"""
_KNOWN_ORIGINS = "SELECT 1 FROM accounts_knownorigin WHERE user_id = accounts_user.id"


def authenticate(identifier: str, password: str, client: Client) -> User:
    """Return the user who has this username or email address and this password.

    A failed attempt costs the same if the user does not exist, is deactivated or has an imported hash, so that the
    response time does not reveal which accounts exist.

    This is only the first step of a sign-in: see `sign_in.with_password`.

    Raises InvalidCredentials if the user is unknown or deactivated or the password is wrong. Raises
    EmailUnverified if the password is right but the address is unverified and AUTH_UNVERIFIED_SIGNIN is off.
    Raises Throttled, before anything is hashed, if a limit is reached.
    """
    column, key = _lookup(identifier)
    user = _find_user(column, key, client)
    account = str(user.pk) if user else f"unknown {key}"
    if not _verify_password(user, account, password, client):
        record(Event.SIGN_IN_FAILED, client=client, user_id=_user_id(user))
        raise InvalidCredentials
    assert user is not None  # noqa: S101  a password was verified, so there is a user
    if not user.is_email_verified and not auth_settings().unverified_signin:
        raise EmailUnverified
    if user.pending_since is not None:
        # The account is in use, so it must not be purged as an unverified sign-up.
        User.objects.filter(pk=user.pk).update(pending_since=None)
    return user


def remember_sign_in(user: User, client: Client) -> None:
    """Remember the network and device of a completed sign-in, and notify the owner if the device is new.

    `user` is from `authenticate` or `find`. Not called before a second factor is verified: an attacker who knows
    only the password must not make their network a known one, whose attempts have a counter of their own.

    Raises InvalidCredentials if the user has been deleted since the password was verified.
    """
    if user.knows_network and user.has_used_device_lately:
        return
    try:
        KnownOrigin.objects.remember(user, *digest_origin(client), at=timezone.now())
    except IntegrityError:
        raise InvalidCredentials from None
    if user.knows_any_device and not user.knows_device:
        record(Event.SIGN_IN_FROM_NEW_DEVICE, client=client, user_id=user.pk)


def find(user_id: int, client: Client) -> User | None:
    """Return the user with this id as `authenticate` does: with roles, and facts about factors and origin."""
    return _find_user("id", user_id, client)


def confirm(user_id: int, password: str, client: Client) -> User:
    """Return a signed-in user after verifying their password again.

    Raises InvalidPassword if the password is wrong. Raises Throttled, before anything is hashed, if a limit is
    reached.
    """
    user = _find_user("id", user_id, client)
    if not _verify_password(user, str(user_id), password, client):
        record(Event.REAUTHENTICATION_FAILED, client=client, user_id=user_id)
        raise InvalidPassword
    assert user is not None  # noqa: S101
    return user


def _lookup(identifier: str) -> tuple[str, str]:
    column, key = comparison_lookup(identifier)
    if column == "email_key" and auth_settings().hide_known_email:
        # A decoy does not have the address that it was signed up with. If other unverified accounts were found by
        # their address, a sign-in by address would reveal which sign-up created a decoy.
        return "email_verified_at IS NOT NULL AND email_key", key
    return column, key


def _find_user(column: str, value: str | int, client: Client) -> User | None:
    origins = accepted_origins(client)
    connection = connection_of(User)
    renew_before = connection.ops.adapt_datetimefield_value(timezone.now() - RENEWAL_INTERVAL)
    parameters = {"value": value, "renew_before": renew_before}
    for number, origin in enumerate(origins):
        parameters |= {f"network{number}": origin.network, f"device{number}": origin.device}
    statement = _find_user_sql(connection.vendor, column, len(origins))
    return next(iter(User.objects.raw(statement, parameters)), None)


@cache
def _find_user_sql(vendor: str, column: str, number_of_keys: int) -> str:
    return _FIND_USER.format(
        columns=columns_of(User),
        role_names=RoleNames.sql(vendor, "accounts_user.id"),
        known_origins=_KNOWN_ORIGINS,
        networks=", ".join(f"%(network{number})s" for number in range(number_of_keys)),
        devices=", ".join(f"%(device{number})s" for number in range(number_of_keys)),
        column=column,
    )


def _verify_password(user: User | None, account: str, password: str, client: Client) -> bool:
    """Return whether the password belongs to an active user; if not, count a failed attempt.

    Raises Throttled.
    """
    attempt = _count_attempt(user, account, client)
    if not _password_matches(user, password):
        return False
    attempt.uncount()
    return True


def _count_attempt(user: User | None, account: str, client: Client) -> CountedAttempt:
    try:
        return attempts.count_sign_in(client, account, is_known_network=user is not None and user.knows_network)
    except Throttled:
        record(Event.SIGN_IN_LOCKED_OUT, client=client, user_id=_user_id(user))
        raise


def _password_matches(user: User | None, password: str) -> bool:
    if len(normalize_password(password)) > MAX_PASSWORD_LENGTH:
        return False  # No account has such a password, and hashing it would cost CPU time.
    encoded = user.password if user else None
    # Verify the password first, so that a deactivated user is rejected no faster than a wrong password.
    if user is not None and user.check_password(password) and user.is_active:
        return True
    equal_cost.spend_remaining(encoded, password)
    return False


def _user_id(user: User | None) -> int | None:
    return None if user is None else user.pk
