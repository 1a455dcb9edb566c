"""How often anyone may guess: failures are counted per account and per address.

A guess is counted before it is checked and given back when it was right, so that any number of simultaneous
guesses counts in full. No password is hashed once a limit is reached.

A stranger who keeps an account's counter full does not lock its owner out: from a network that the owner has
signed in from before, guesses are counted apart.
"""

import math
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.utils.crypto import salted_hmac
from limits import RateLimitItemPerSecond
from limits.errors import StorageError
from limits.strategies import FixedWindowRateLimiter

from accounts.clients import Client
from accounts.conf import Limit, auth_settings
from accounts.errors import Throttled, Unavailable
from accounts.guess_counters import Counter, counters

P = ParamSpec("P")
R = TypeVar("R")


class Guess:
    """One attempt, counted in advance against every limit that it falls under."""

    def __init__(self) -> None:
        self._counted: list[Counter] = []

    def count_for_address(self, client: Client) -> None:
        """Count it against the client's network.

        Raises Throttled.
        """
        self._count(auth_settings().address_limit, "address", client.network)

    def count_for_account(self, account: str) -> None:
        """Count it against an account, which exists or does not.

        Raises Throttled.
        """
        self._count(auth_settings().account_limit, "account", account)

    def count_for_account_at(self, account: str, client: Client) -> None:
        """Count it against an account as seen from a network that its owner uses.

        Raises Throttled.
        """
        self._count(auth_settings().account_limit, "account", account, client.network)

    def give_back(self) -> None:
        """Uncount it: it was no failure."""
        if self._counted:
            _reach(counters().give_back, self._counted)

    def _count(self, limit: Limit | None, *what: str) -> None:
        if limit is None:
            return
        item = RateLimitItemPerSecond(limit.amount, limit.window)
        # A digest, so that neither names nor addresses can be read where counters are kept.
        name = salted_hmac("accounts.guessing", "\0".join(what), algorithm="sha256").hexdigest()[:32]
        limiter = FixedWindowRateLimiter(counters())
        if not _reach(limiter.hit, item, name):
            raise Throttled(_seconds_until(_reach(limiter.get_window_stats, item, name).reset_time))
        self._counted.append((item.key_for(name), limit.window))


def _seconds_until(moment: float) -> int:
    return max(1, math.ceil(moment - time.time()))


def _reach(ask: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Ask the counters; a guess that cannot be counted is not allowed."""
    try:
        return ask(*args, **kwargs)
    except StorageError:
        raise Unavailable from None
