"""The security history in the admin: a read-only list of events, filtered by user, event and time."""

from datetime import timedelta
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin.display import ago, device, shorten_id, two_lines
from accounts.admin.event_details import in_words
from accounts.admin.user_filter import ByUserAdmin, UserFilter, link_to_user
from accounts.history import events
from accounts.history.events import DESCRIPTIONS
from accounts.models import Activity, ActivityQuerySet, User


class ActivityUserFilter(UserFilter):
    """Filters events by the user they belong to."""

    title = _("user")
    column = "user"


class EventFilter(admin.SimpleListFilter):
    """Filters events by type."""

    title = _("event")
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the event types that a history stores."""
        return [(event, gettext(description)) for event, description in DESCRIPTIONS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Filter to the chosen event type."""
        return queryset.filter(event=self.value()) if self.value() else queryset


class SinceFilter(admin.SimpleListFilter):
    """Filters events to the past 24 hours or 7 days."""

    title = _("time")
    parameter_name = "since"
    periods: ClassVar = {"day": timedelta(days=1), "week": timedelta(days=7)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the available periods."""
        return [("day", gettext("Past 24 hours")), ("week", gettext("Past 7 days"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Filter to events within the chosen period."""
        period = self.periods.get(self.value() or "")
        return queryset if period is None else cast("ActivityQuerySet", queryset).since(timezone.now() - period)


@admin.register(Activity)
class ActivityAdmin(ByUserAdmin):
    """Lists security events with the user, the origin and the administrator who caused them."""

    names = (_("security event"), _("security events"))
    list_display = ("time", "user_link", "description", "origin", "administrator", "session")
    list_display_links = None
    list_filter = (ActivityUserFilter, EventFilter, SinceFilter)
    list_select_related = ("user",)
    user_filter = ActivityUserFilter

    def get_queryset(self, request: HttpRequest) -> QuerySet[Activity]:
        """Return the events, with the names of the administrators fetched in the same query."""
        administrator = User.objects.filter(pk=OuterRef("by")).values("username")
        entries: QuerySet[Activity] = super().get_queryset(request).annotate(by_name=Subquery(administrator))
        return entries

    @admin.display(description=_("time"))
    def time(self, entry: Activity) -> str:
        """Return how long ago the event happened."""
        return ago("", entry.at)

    @admin.display(description=_("user"))
    def user_link(self, entry: Activity) -> str:
        """Return a link to the user."""
        return link_to_user(entry.user_id, entry.user.username)

    @admin.display(description=_("event"))
    def description(self, entry: Activity) -> str:
        """Return the description of the event type, with its details in words."""
        return two_lines(gettext(events.describe(entry)), in_words(entry.details))

    @admin.display(description=_("device and IP address"))
    def origin(self, entry: Activity) -> str:
        """Return the device and the IP address, or an empty string for a management command."""
        return two_lines(device(entry.user_agent), entry.address) if entry.address else ""

    @admin.display(description=_("administrator"))
    def administrator(self, entry: Any) -> str:
        """Return a link to the administrator who caused the event, if any."""
        if entry.by is None:
            return ""
        return link_to_user(entry.by, entry.by_name) if entry.by_name else gettext("deleted ({})").format(entry.by)

    @admin.display(description=_("session"))
    def session(self, entry: Activity) -> str:
        """Return a link to the session, if the event belongs to one."""
        if entry.session_id is None:
            return ""
        url = reverse("admin:accounts_refreshtoken_change", args=[entry.session_id])
        return format_html('<a href="{}">{}</a>', url, shorten_id(entry.session_id))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only the service itself adds events."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Activity | None = None) -> bool:
        """Return False: a history that could be edited would prove nothing."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Activity | None = None) -> bool:
        """Return False: events are deleted by the purge, or together with their user."""
        return False
