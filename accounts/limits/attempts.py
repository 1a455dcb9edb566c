"""How often anyone may guess, sign up or ask for mail: counted per account or recipient, and per address.

A guess is counted before it is checked and given back when it was right, so that any number of simultaneous
guesses counts in full. No password is hashed once a limit is reached.

A stranger who keeps an account's counter full does not lock its owner out: from a network that the owner has
signed up or signed in from before, guesses are counted apart, up to the same limit.
"""

import math
import time

from django.utils.crypto import salted_hmac

from accounts.conf import Limit, auth_settings
from accounts.errors import Throttled
from accounts.limits.counters import Count, counters
from accounts.values.clients import Client

UNVERIFIED_RECIPIENT_LIMIT = Limit(10, 86400)
"""Anybody can give anybody's address for an account, and have this service write to it."""


class CountedAttempt:
    """Attempts that were counted in advance, until it is known whether they failed."""

    def __init__(self, counted: list[Count]) -> None:
        self._counted = counted

    def uncount(self) -> None:
        """Uncount them: they were no failure."""
        if self._counted:
            counters().uncount(self._counted)


def count_for_address(client: Client) -> CountedAttempt:
    """Count an attempt against the network that it comes from.

    Raises Throttled.
    """
    return _count((auth_settings().address_limit, "address", client.network))


def count_sign_in(client: Client, account: str, *, is_known_network: bool) -> CountedAttempt:
    """Count an attempt against its network, and against an account, which exists or does not.

    Raises Throttled.
    """
    return _count_with_network(client, "account", account, is_known_network=is_known_network)


def count_sign_up(client: Client, recipient: str) -> CountedAttempt:
    """Count what tells which names are taken, and mails an address that anybody may name.

    Raises Throttled.
    """
    return _count_with_network(client, "mail", recipient, is_known_network=False)


def allow_mail_request(client: Client, recipient: str, *, is_known_network: bool) -> bool:
    """Count a mail that somebody asks for; tell whether its recipient gets one more.

    The caller is told of the limit on the network that asks, and not of the one on the recipient: that one differs
    for those who ask from a network that the recipient has been in.

    Raises Throttled.
    """
    count_for_address(client)
    origin = _origin(client, is_known_network=is_known_network)
    return _count_within(auth_settings().account_limit, "mail", recipient, origin)


def allow_mail_to_unverified(recipient: str) -> bool:
    """Count a letter to an address that is not verified, whichever account it is about; tell whether it may go."""
    return _count_within(UNVERIFIED_RECIPIENT_LIMIT, "unverified recipient", recipient)


def keyed_digest(*parts: str) -> str:
    """Name something so that neither names nor addresses can be read where counters are kept."""
    return salted_hmac("accounts.guessing", "\0".join(parts), algorithm="sha256").hexdigest()[:32]


def _count_with_network(client: Client, kind: str, subject: str, *, is_known_network: bool) -> CountedAttempt:
    settings = auth_settings()
    origin = _origin(client, is_known_network=is_known_network)
    return _count(
        (settings.address_limit, "address", client.network),
        (settings.account_limit, kind, subject, origin),
    )


def _origin(client: Client, *, is_known_network: bool) -> str:
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
            attempt.uncount()
            counters().delete_empty(counts)
            raise Throttled(max(1, math.ceil(count.resets_at - time.time())))
    return attempt
