"""The counts on the admin's first page: current sessions, and the security events of the last 24 hours.

Every count reads an index and stops at `MAX_COUNT`, so that the page loads as fast with ten million sessions as
with ten.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.history.events import Event
from accounts.models import Activity, RefreshToken, SessionState, User

MAX_COUNT = 1000
"""The number at which counting stops. A larger result is shown as "1000+"."""

_MAX_ROWS_READ = 10_000  # unexpired sessions that are read to count the live ones

LAST_DAY_LABELS = {
    Event.SIGN_IN_SUCCEEDED: _("Sign-ins"),
    Event.SIGN_IN_FROM_NEW_DEVICE: _("Sign-ins from a new device"),
    Event.SIGN_IN_FAILED: _("Failed sign-ins"),
    Event.SIGN_IN_LOCKED_OUT: _("Sign-ins blocked after too many failures"),
    Event.SESSION_REUSED: _("Reused refresh tokens (stolen tokens, or a faulty client)"),
}


class Figure(NamedTuple):
    """A labeled count, with the URL of the list of counted rows."""

    label: str | Promise
    number: str
    url: str


def figures_for(viewer: User | AnonymousUser) -> dict[str, list[Figure]]:
    """Return the counts that the user may view, grouped by heading."""
    by_heading: dict[str, list[Figure]] = {}
    if viewer.has_perm("accounts.view_refreshtoken"):
        by_heading[gettext("Sessions")] = list(_session_figures(timezone.now()))
    if viewer.has_perm("accounts.view_activity"):
        by_heading[gettext("Last 24 hours")] = list(_last_day_figures(timezone.now()))
    return by_heading


def bounded_count(rows: QuerySet[Any]) -> str:
    """Return the number of rows as text, or "1000+" if there are more than MAX_COUNT."""
    number = rows.order_by()[: MAX_COUNT + 1].count()
    return f"{MAX_COUNT}+" if number > MAX_COUNT else str(number)


def _session_figures(now: datetime) -> Iterator[Figure]:
    url = reverse("admin:accounts_refreshtoken_changelist")
    yield Figure(_("Live"), _count_live_sessions(now), f"{url}?state={SessionState.LIVE}")
    expired = RefreshToken.objects.expired(now).filter(ended_at=None)
    yield Figure(_("Expired, not yet purged"), bounded_count(expired), f"{url}?state={SessionState.EXPIRED}")


def _count_live_sessions(now: datetime) -> str:
    """Return the number of live sessions, with a "+" if not every unexpired session was read.

    At most _MAX_ROWS_READ sessions are read: if most unexpired sessions have been revoked, a search for MAX_COUNT
    live ones would read all of them.
    """
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
