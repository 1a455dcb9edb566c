"""The security history in the admin: read, by user; nobody edits it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts import devices, events
from accounts.admin.lists import BoundedAdmin
from accounts.admin.user_filter import UserFilter
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
        return [(event.value, words) for event, words in DESCRIPTIONS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the events chosen."""
        return queryset.filter(event=self.value()) if self.value() else queryset


@admin.register(Activity)
class ActivityAdmin(BoundedAdmin):
    """What happened to accounts, and who did it."""

    list_display = ("at", "user_link", "what", "details", "address", "device", "administrator", "session")
    list_display_links = None
    list_filter = (OfUser, EventFilter)
    list_select_related = ("user",)

    @property
    def media(self) -> forms.Media:
        """Bring what completes a user's name."""
        return super().media + AutocompleteSelect(Activity._meta.get_field("user"), self.admin_site).media

    @admin.display(description="user")
    def user_link(self, entry: Activity) -> str:
        """Lead to the user."""
        url = reverse("admin:accounts_user_change", args=[entry.user_id])
        return format_html('<a href="{}">{}</a>', url, entry.user.username)

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
        return format_html('<a href="{}">{}</a>', reverse("admin:accounts_user_change", args=[entry.by]), entry.by)

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
