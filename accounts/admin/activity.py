"""The security history in the admin: read, by user; nobody edits it."""

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
    """The history of one user."""

    title = "user"
    column = "user"


class EventFilter(admin.SimpleListFilter):
    """One kind of event."""

    title = "event"
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer what a history keeps."""
        return list(DESCRIPTIONS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the events chosen."""
        return queryset.filter(event=self.value()) if self.value() else queryset


class SinceFilter(admin.SimpleListFilter):
    """What happened lately."""

    title = "time"
    parameter_name = "since"
    periods: ClassVar = {"day": timedelta(days=1), "week": timedelta(days=7)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer spans."""
        return [("day", "the last 24 hours"), ("week", "the last 7 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what happened in the span chosen."""
        period = self.periods.get(self.value() or "")
        return queryset if period is None else cast("ActivityQuerySet", queryset).since(timezone.now() - period)


@admin.register(Activity)
class ActivityAdmin(ByUserAdmin):
    """What happened to accounts, and who did it."""

    list_display = ("at", "user_link", "description", "details", "address", "device", "administrator", "session")
    list_display_links = None
    list_filter = (ActivityUserFilter, EventFilter, SinceFilter)
    list_select_related = ("user",)
    user_filter = ActivityUserFilter

    @admin.display(description="user")
    def user_link(self, entry: Activity) -> str:
        """Lead to the user."""
        return link_to_user(entry.user_id, entry.user.username)

    @admin.display(description="event")
    def description(self, entry: Activity) -> str:
        """Say what happened."""
        return events.describe(entry)

    @admin.display(description="device")
    def device(self, entry: Activity) -> str:
        """Show the browser or app and the system; nothing for what is done on the command line."""
        return devices.describe(entry.user_agent) if entry.address else ""

    @admin.display(description="by administrator")
    def administrator(self, entry: Activity) -> str:
        """Lead to who did it, where that was an administrator."""
        if entry.by is None:
            return ""
        return link_to_user(entry.by, str(entry.by))

    @admin.display(description="session")
    def session(self, entry: Activity) -> str:
        """Lead to the session."""
        if entry.session_id is None:
            return ""
        url = reverse("admin:accounts_refreshtoken_change", args=[entry.session_id])
        return format_html('<a href="{}">…{}</a>', url, str(entry.session_id)[-12:])

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tell that nothing is added by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Activity | None = None) -> bool:
        """Tell that nothing is changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Activity | None = None) -> bool:
        """Tell that nothing is deleted before its time, except with its user."""
        return False
