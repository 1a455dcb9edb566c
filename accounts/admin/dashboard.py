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

HIGHEST = 1000
"""Figures go up to here; what is beyond is "1000+"."""

_MOST_READ = 10_000

OF_LAST_DAY = {
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


def figures(viewer: User | AnonymousUser) -> dict[str, list[Figure]]:
    """Count what an administrator may look at, by heading."""
    found: dict[str, list[Figure]] = {}
    if viewer.has_perm("accounts.view_refreshtoken"):
        found["Sessions now"] = list(_of_sessions(timezone.now()))
    if viewer.has_perm("accounts.view_activity"):
        found["The last 24 hours"] = list(_of_last_day(timezone.now()))
    return found


def counted(rows: QuerySet[Any]) -> str:
    """Count rows as far as HIGHEST."""
    number = rows.order_by()[: HIGHEST + 1].count()
    return f"{HIGHEST}+" if number > HIGHEST else str(number)


def _of_sessions(now: datetime) -> Iterator[Figure]:
    url = reverse("admin:accounts_refreshtoken_changelist")
    yield Figure("Live", _live(now), f"{url}?state={SessionState.LIVE}")
    expired = RefreshToken.objects.expired(now).filter(ended_at=None)
    yield Figure("Expired, and not purged yet", counted(expired), f"{url}?state={SessionState.EXPIRED}")


def _live(now: datetime) -> str:
    """Count live sessions among so many of those that have time left: all of them may have been revoked."""
    read = RefreshToken.objects.expiring_today_or_later(now).order_by("expires_on").values("pk")[:_MOST_READ]
    number = counted(RefreshToken.objects.filter(pk__in=read).live(now).with_valid_owner())
    is_all = number.endswith("+") or read.count() < _MOST_READ
    return number if is_all else f"{number}+"


def _of_last_day(now: datetime) -> Iterator[Figure]:
    url = reverse("admin:accounts_activity_changelist")
    today = Activity.objects.since(now - timedelta(days=1))
    for event, label in OF_LAST_DAY.items():
        yield Figure(label, counted(today.filter(event=event)), f"{url}?since=day&event={event}")
