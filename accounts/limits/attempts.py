"""Limit failed sign-ins, sign-ups and requested emails, per account or recipient and per IP network.

An attempt is counted before its password is verified, and uncounted if the password is right. Otherwise
simultaneous attempts could all pass before the first failure is counted. Once a limit is reached, no password is
hashed.

An attacker who uses up the limit of an account does not lock its owner out: attempts from a network that the owner
has signed up or signed in from have a separate counter with the same limit.
"""

import hmac
import math
import time
from functools import cache

from django.conf import settings as django_settings
from django.utils.crypto import salted_hmac

from accounts.conf import Limit, auth_settings
from accounts.errors import Throttled
from accounts.limits.counters import Count, counters
from accounts.values.clients import Client

UNVERIFIED_RECIPIENT_LIMIT = Limit(10, 86400)
"""At most ten emails a day to an unverified address: anyone can register the address of someone else."""

CODE_LIMIT = Limit(20, 86400)
"""At most twenty wrong codes of an authenticator app a day. A code has six digits, of which three are valid at a
time, so that an attacker with the password guesses one within a year with a probability of 2 percent."""


class CountedAttempt:
    """An attempt that has been counted as a failure and can be uncounted if it succeeds."""

    def __init__(self, counted: list[Count]) -> None:
        self._counted = counted

    def uncount(self) -> None:
        """Remove the attempt from all its counters, because it succeeded."""
        if self._counted:
            counters().uncount(self._counted)


def count_for_address(client: Client) -> CountedAttempt:
    """Count an attempt against the network of the client.

    Raises Throttled if the network has reached AUTH_ADDRESS_LIMIT.
    """
    return _count((auth_settings().address_limit, "address", client.network))


def count_sign_in(client: Client, account: str, *, is_known_network: bool) -> CountedAttempt:
    """Count a sign-in attempt against the network of the client and against an account.

    `account` identifies an account, including one that does not exist. `is_known_network` says whether its owner
    has signed up or signed in from the network before.

    Raises Throttled if either has reached its limit.
    """
    return _count_with_network(client, "account", account, is_known_network=is_known_network)


def count_code(client: Client, account: str, *, is_known_network: bool) -> CountedAttempt:
    """Count an attempt with a code of an authenticator app: like a sign-in attempt, and within CODE_LIMIT.

    AUTH_ACCOUNT_LIMIT alone would allow hundreds of guesses a day (NIST SP 800-63B-4 section 3.2.2: at most 100).

    CODE_LIMIT does not apply if an operator has removed AUTH_ACCOUNT_LIMIT.

    Raises Throttled if a limit is reached.
    """
    settings, origin = auth_settings(), _origin(client, is_known_network=is_known_network)
    code_limit = None if settings.account_limit is None else CODE_LIMIT
    return _count(
        (settings.address_limit, "address", client.network),
        (settings.account_limit, "account", account, origin),
        (code_limit, "code", account, origin),
    )


def count_sign_up(client: Client, recipient: str) -> CountedAttempt:
    """Count a sign-up or a change of username or email against the network and against the recipient's address.

    Both reveal which names are taken, and both can send an email to an address that the client chooses.

    Raises Throttled if either has reached its limit.
    """
    return _count_with_network(client, "mail", recipient, is_known_network=False)


def allow_mail_request(client: Client, recipient: str, *, is_known_network: bool) -> bool:
    """Count a requested email, and return whether the recipient may get another one.

    The limit of the recipient must not show in the response: it depends on whether the recipient has used the
    network of the client, and that would reveal that the account exists.

    Raises Throttled if the network of the client has reached its limit.
    """
    count_for_address(client)
    origin = _origin(client, is_known_network=is_known_network)
    return _count_within(auth_settings().account_limit, "mail", recipient, origin)


def allow_mail_to_unverified(recipient: str) -> bool:
    """Count an email to an unverified address, and return whether it may be sent."""
    return _count_within(UNVERIFIED_RECIPIENT_LIMIT, "letter", recipient)


def keyed_digest(*parts: str, server_key: str | None = None) -> str:
    """Return an HMAC of the parts: a key for the database or Redis that reveals no name and no address.

    The HMAC is made under `server_key`, by default SECRET_KEY.
    """
    mac = _keyed(server_key or django_settings.SECRET_KEY).copy()
    mac.update("\0".join(parts).encode())
    return mac.hexdigest()[:32]


# Deriving the key for every digest took 1 % of the instructions of a sign-in.
@cache
def _keyed(server_key: str) -> hmac.HMAC:
    return salted_hmac("accounts.guessing", "", server_key, algorithm="sha256")


def _count_with_network(client: Client, kind: str, subject: str, *, is_known_network: bool) -> CountedAttempt:
    settings = auth_settings()
    origin = _origin(client, is_known_network=is_known_network)
    return _count(
        (settings.address_limit, "address", client.network),
        (settings.account_limit, kind, subject, origin),
    )


def _origin(client: Client, *, is_known_network: bool) -> str:
    """Return the network of the client if the owner has used it, else a name that all other networks share."""
    return client.network if is_known_network else "anywhere else"


def _count_within(limit: Limit | None, *parts: str) -> bool:
    try:
        _count((limit, *parts))
    except Throttled:
        return False
    return True


def _count(*attempts: tuple[Limit | None, *tuple[str, ...]]) -> CountedAttempt:
    limits = [(limit, keyed_digest(str(limit), *parts)) for limit, *parts in attempts if limit is not None]
    counts = counters().count([(key, limit.window) for limit, key in limits]) if limits else []
    attempt = CountedAttempt(counts)
    for (limit, _), count in zip(limits, counts, strict=True):
        if count.amount > limit.amount:
            # A throttled attempt verified nothing, so it does not count against the other limit either.
            attempt.uncount()
            counters().delete_empty(counts)
            raise Throttled(max(1, math.ceil(count.resets_at - time.time())))
    return attempt
