"""The security history in the admin: a read-only list of events, filtered by user, event and time."""

from datetime import timedelta
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts.admin.user_filter import ByUserAdmin, UserFilter, link_to_user
from accounts.history import events
from accounts.history.events import DESCRIPTIONS
from accounts.models import Activity, ActivityQuerySet
from accounts.values import devices


class ActivityUserFilter(UserFilter):
    """Filters events by the user they belong to."""

    title = "user"
    column = "user"


class EventFilter(admin.SimpleListFilter):
    """Filters events by type."""

    title = "event"
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the event types that a history stores."""
        return list(DESCRIPTIONS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Filter to the chosen event type."""
        return queryset.filter(event=self.value()) if self.value() else queryset


class SinceFilter(admin.SimpleListFilter):
    """Filters events to the past 24 hours or 7 days."""

    title = "time"
    parameter_name = "since"
    periods: ClassVar = {"day": timedelta(days=1), "week": timedelta(days=7)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the available periods."""
        return [("day", "Past 24 hours"), ("week", "Past 7 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Filter to events within the chosen period."""
        period = self.periods.get(self.value() or "")
        return queryset if period is None else cast("ActivityQuerySet", queryset).since(timezone.now() - period)


@admin.register(Activity)
class ActivityAdmin(ByUserAdmin):
    """Lists security events with the user, the origin and the administrator who caused them."""

    list_display = ("at", "user_link", "description", "details", "address", "device", "administrator", "session")
    list_display_links = None
    list_filter = (ActivityUserFilter, EventFilter, SinceFilter)
    list_select_related = ("user",)
    user_filter = ActivityUserFilter

    @admin.display(description="user")
    def user_link(self, entry: Activity) -> str:
        """Return a link to the user."""
        return link_to_user(entry.user_id, entry.user.username)

    @admin.display(description="event")
    def description(self, entry: Activity) -> str:
        """Return the description of the event type."""
        return events.describe(entry)

    @admin.display(description="device")
    def device(self, entry: Activity) -> str:
        """Return the browser or app and the system, or an empty string for a management command."""
        return devices.describe(entry.user_agent) if entry.address else ""

    @admin.display(description="administrator")
    def administrator(self, entry: Activity) -> str:
        """Return a link to the administrator who caused the event, if any."""
        if entry.by is None:
            return ""
        return link_to_user(entry.by, str(entry.by))

    @admin.display(description="session")
    def session(self, entry: Activity) -> str:
        """Return a link to the session, if the event belongs to one."""
        if entry.session_id is None:
            return ""
        url = reverse("admin:accounts_refreshtoken_change", args=[entry.session_id])
        return format_html('<a href="{}">…{}</a>', url, str(entry.session_id)[-12:])

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only the service itself adds events."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Activity | None = None) -> bool:
        """Return False: a history that could be edited would prove nothing."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Activity | None = None) -> bool:
        """Return False: events are deleted by the purge, or together with their user."""
        return False
