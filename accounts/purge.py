"""Deletes what has expired, in bounded batches, beside a running service."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.utils import timezone

from accounts.models import GuessCount, RefreshToken, RefreshTokenQuerySet


def purgeable(retain: timedelta) -> RefreshTokenQuerySet:
    """Find the sessions that expired at least `retain` ago. None of them can come back to life."""
    cutoff: datetime = timezone.now() - retain
    return RefreshToken.objects.expired(cutoff)


def spent_counters() -> models.QuerySet[GuessCount]:
    """Find the counters of guesses whose window is over."""
    return GuessCount.objects.filter(resets_at__lte=time.time())


def delete_in_batches(rows: models.QuerySet[Any], batch_size: int) -> Iterator[int]:
    """Delete rows, each batch in a transaction of its own; yield how many each one deleted."""
    while True:
        batch = rows.order_by().values("pk")[:batch_size]
        deleted, _ = rows.model._default_manager.filter(pk__in=batch).delete()
        if not deleted:
            return
        yield deleted
