"""How the admin shows states, times and long texts: the same on every list and page."""

from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from accounts.models import Application, Service, User
from accounts.values import devices

NOTHING = format_html('<span class="nothing">{}</span>', "–")
"""What is shown instead of an empty value."""

_MINUTES_PER_HOUR = 60
_LONGEST_IN_HOURS = timedelta(hours=48)
_LONGEST_IN_DAYS = timedelta(days=60)


def badge(kind: str, text: str, title: str = "") -> SafeString:
    """Return a colored badge. The text names the state, so that the color adds nothing that cannot be read.

    `kind` is `good`, `neutral`, `warning` or `bad`, and `title` is shown on hover.
    """
    return format_html('<span class="badge {}" title="{}">{}</span>', kind, title, text)


def active_badge(row: User | Service | Application) -> SafeString:
    """Return a badge that says whether a user, a service or an application is active."""
    return badge("good", gettext("active")) if row.is_active else badge("neutral", gettext("deactivated"))


def shorten(text: str) -> SafeString:
    """Return text that is cut to the width of its column, with the whole text on hover."""
    return format_html('<span class="cut" title="{0}">{0}</span>', text) if text else SafeString()


def device(user_agent: str) -> str:
    """Return the browser or app and the system, as far as the user agent identifies them."""
    name = devices.describe(user_agent)
    return gettext("Unknown device") if name == devices.UNKNOWN else name


def two_lines(first: str, second: str | None) -> SafeString:
    """Return a text with a quieter one below it, each cut to the width of the column."""
    return format_html('{}<span class="second">{}</span>', shorten(first), shorten(second or ""))


def shorten_id(session_id: UUID) -> SafeString:
    """Return the end of a session's id. The beginning is a timestamp, which sessions started together share."""
    return format_html('<span class="id">…{}</span>', str(session_id)[-8:])


def moment(time: datetime | None) -> SafeString:
    """Return the time in full, with the distance from now: "2026-11-28 10:00 UTC (3 h ago)". Empty for None."""
    if time is None:
        return SafeString()
    return format_html('<time datetime="{}">{} ({})</time>', time.isoformat(), _exact(time), _distance(time))


def ago(label: str, time: datetime) -> SafeString:
    """Return the distance from now, "3 h ago", with the time in full on hover.

    `label` is shown only on narrow screens, where cards replace the table and its headings.
    """
    element = '<span class="label">{} </span><time datetime="{}" title="{}">{}</time>'
    return format_html(element, label, time.isoformat(), _exact(time), _distance(time))


def _exact(time: datetime) -> str:
    return date_format(timezone.localtime(time), "Y-m-d H:i T")


def _distance(time: datetime) -> str:
    elapsed = timezone.now() - time
    is_past = elapsed >= timedelta()
    if abs(elapsed) < timedelta(minutes=1):
        return gettext("just now") if is_past else gettext("in a moment")
    if abs(elapsed) > _LONGEST_IN_DAYS:
        return date_format(timezone.localtime(time), "Y-m-d")
    return (gettext("{} ago") if is_past else gettext("in {}")).format(_duration(abs(elapsed)))


def _duration(duration: timedelta) -> str:
    minutes = duration // timedelta(minutes=1)
    if minutes < _MINUTES_PER_HOUR:
        return gettext("{} min").format(minutes)
    if duration < _LONGEST_IN_HOURS:
        return gettext("{} h").format(minutes // _MINUTES_PER_HOUR)
    return ngettext("{} day", "{} days", duration.days).format(duration.days)
