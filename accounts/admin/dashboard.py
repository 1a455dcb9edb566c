"""What the admin's first page tells: how many sessions there are, and what the last day brought.

Each figure is counted no further than a person reads it, from an index, so that the page comes as fast with ten
million sessions as with ten.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from accounts.history.events import Event
from accounts.models import Activity, RefreshToken, SessionState, User

MAX_COUNT = 1000
"""Figures go up to here; what is beyond is "1000+"."""

_MAX_ROWS_READ = 10_000

LAST_DAY_LABELS = {
    Event.SIGN_IN_SUCCEEDED: "Sign-ins",
    Event.SIGN_IN_FROM_NEW_DEVICE: "Sign-ins from a new device",
    Event.SIGN_IN_FAILED: "Failed sign-ins",
    Event.SIGN_IN_LOCKED_OUT: "Sign-ins refused after too many failures",
    Event.SESSION_REUSED: "Used refresh tokens that came back (a theft, or a faulty client)",
}


class Figure(NamedTuple):
    """A number, in words, and the list of what was counted."""

    label: str
    number: str
    url: str


def figures_for(viewer: User | AnonymousUser) -> dict[str, list[Figure]]:
    """Count what an administrator may look at, by heading."""
    by_heading: dict[str, list[Figure]] = {}
    if viewer.has_perm("accounts.view_refreshtoken"):
        by_heading["Sessions now"] = list(_session_figures(timezone.now()))
    if viewer.has_perm("accounts.view_activity"):
        by_heading["The last 24 hours"] = list(_last_day_figures(timezone.now()))
    return by_heading


def bounded_count(rows: QuerySet[Any]) -> str:
    """Count rows as far as MAX_COUNT."""
    number = rows.order_by()[: MAX_COUNT + 1].count()
    return f"{MAX_COUNT}+" if number > MAX_COUNT else str(number)


def _session_figures(now: datetime) -> Iterator[Figure]:
    url = reverse("admin:accounts_refreshtoken_changelist")
    yield Figure("Live", _count_live_sessions(now), f"{url}?state={SessionState.LIVE}")
    expired = RefreshToken.objects.expired(now).filter(ended_at=None)
    yield Figure("Expired, and not purged yet", bounded_count(expired), f"{url}?state={SessionState.EXPIRED}")


def _count_live_sessions(now: datetime) -> str:
    """Count live sessions among so many of those that have time left: all of them may have been revoked."""
    candidates = (
        RefreshToken.objects.expiring_today_or_later(now).order_by("expires_on").values("pk")[:_MAX_ROWS_READ]
    )
    number = bounded_count(RefreshToken.objects.filter(pk__in=candidates).live(now).with_valid_owner())
    has_read_all = number.endswith("+") or candidates.count() < _MAX_ROWS_READ
    return number if has_read_all else f"{number}+"


def _last_day_figures(now: datetime) -> Iterator[Figure]:
    url = reverse("admin:accounts_activity_changelist")
    recent = Activity.objects.since(now - timedelta(days=1))
    for event, label in LAST_DAY_LABELS.items():
        yield Figure(label, bounded_count(recent.filter(event=event)), f"{url}?since=day&event={event}")
