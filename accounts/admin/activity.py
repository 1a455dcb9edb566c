"""The security history in the admin: read, by user; nobody edits it."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts import devices, events
from accounts.admin.user_filter import ByUserAdmin, UserFilter, link_to
from accounts.events import DESCRIPTIONS
from accounts.models import Activity


class OfUser(UserFilter):
    """The history of one user."""

    title = "user"
    column = "user"


class EventFilter(admin.SimpleListFilter):
    """One kind of event, once a user is chosen: by itself no index would answer it."""

    title = "event"
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer what a history keeps."""
        if not request.GET.get(f"{OfUser.column}__id__exact"):
            return []
        return list(DESCRIPTIONS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the events chosen."""
        return queryset.filter(event=self.value()) if self.value() else queryset


@admin.register(Activity)
class ActivityAdmin(ByUserAdmin):
    """What happened to accounts, and who did it."""

    list_display = ("at", "user_link", "what", "details", "address", "device", "administrator", "session")
    list_display_links = None
    list_filter = (OfUser, EventFilter)
    list_select_related = ("user",)
    by_user = OfUser

    @admin.display(description="user")
    def user_link(self, entry: Activity) -> str:
        """Lead to the user."""
        return link_to(entry.user_id, entry.user.username)

    @admin.display(description="event")
    def what(self, entry: Activity) -> str:
        """Say what happened."""
        return events.describe(entry)

    @admin.display(description="device")
    def device(self, entry: Activity) -> str:
        """Show the browser or app and the system; nothing for what is done on the command line."""
        return devices.name_of(entry.user_agent) if entry.address else ""

    @admin.display(description="by administrator")
    def administrator(self, entry: Activity) -> str:
        """Lead to who did it, where that was an administrator."""
        if entry.by is None:
            return ""
        return link_to(entry.by, str(entry.by))

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
