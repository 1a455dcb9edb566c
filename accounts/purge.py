"""Deletes what has expired, in bounded batches, beside a running service."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.utils import timezone

from accounts.models import GuessCount, KnownNetwork, RefreshToken, RefreshTokenQuerySet

NETWORKS_ARE_KNOWN_FOR = timedelta(days=365)


def purgeable(retain: timedelta) -> RefreshTokenQuerySet:
    """Find the sessions that expired at least `retain` ago. None of them can come back to life."""
    cutoff: datetime = timezone.now() - retain
    return RefreshToken.objects.expired(cutoff)


def spent_counters() -> models.QuerySet[GuessCount]:
    """Find the counters of guesses whose window is over."""
    return GuessCount.objects.filter(resets_at__lte=time.time())


def forgotten_networks() -> models.QuerySet[KnownNetwork]:
    """Find the networks that were kept long enough; the next sign-in from one keeps it anew."""
    return KnownNetwork.objects.filter(since__lte=timezone.now() - NETWORKS_ARE_KNOWN_FOR)


def delete_in_batches(rows: models.QuerySet[Any], batch_size: int) -> Iterator[int]:
    """Delete rows, each batch in a transaction of its own; yield how many each one deleted."""
    while True:
        batch = list(rows.order_by().values_list("pk", flat=True)[:batch_size])
        if not batch:
            return
        # The condition once more: a row may have changed, or be gone, since it was read.
        deleted, _ = rows.filter(pk__in=batch).delete()
        yield deleted
