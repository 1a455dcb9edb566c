"""Logout tokens that wait for delivery in the admin: a read-only list, from which they are tried again now."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin.display import ago, moment, shorten_id, two_lines
from accounts.admin.lists import BoundedAdmin, pluralize
from accounts.models import LogoutDelivery
from accounts.sso import logout_delivery, logout_dispatch


@admin.register(LogoutDelivery)
class LogoutDeliveryAdmin(BoundedAdmin):
    """Lists the logout tokens that applications have not confirmed yet, the oldest first."""

    names = (_("logout delivery"), _("logout deliveries"))
    list_display = ("receiver", "session", "owner", "ended", "number_of_attempts", "next_attempt")
    fields = ("client_id", "uri", "session_id", "owner", "ended_at", "number_of_attempts", "next_attempt_at")
    readonly_fields = ("ended_at", "number_of_attempts", "owner")
    ordering = ("pk",)
    search_fields = ("=client_id",)
    search_help_text = _("Search by the client ID of an application.")
    actions = ("try_again",)

    def name_of(self, row: LogoutDelivery) -> str:
        """Return the application and the end of the session's id."""
        return gettext("…{} to {}").format(str(row.session_id)[-8:], row.client_id)

    @admin.display(description=_("receiver"))
    def receiver(self, delivery: LogoutDelivery) -> str:
        """Return the application, with the address that is notified."""
        return two_lines(delivery.client_id, delivery.uri)

    @admin.display(description=_("session"))
    def session(self, delivery: LogoutDelivery) -> str:
        """Return the end of the session's id. There is no link, because the session may be deleted."""
        return shorten_id(delivery.session_id)

    @admin.display(description=_("user ID"))
    def owner(self, delivery: LogoutDelivery) -> str:
        """Return the id of the session's owner, who may be deleted."""
        return delivery.subject

    @admin.display(description=_("session ended"))
    def ended(self, delivery: LogoutDelivery) -> str:
        """Return how long ago the session ended."""
        return ago(gettext("session ended"), delivery.created_at)

    @admin.display(description=_("session ended"))
    def ended_at(self, delivery: LogoutDelivery) -> str:
        """Return when the session ended."""
        return moment(delivery.created_at)

    @admin.display(description=_("failed attempts"))
    def number_of_attempts(self, delivery: LogoutDelivery) -> int:
        """Return how many attempts have failed."""
        return delivery.attempts

    @admin.display(description=_("next attempt"))
    def next_attempt(self, delivery: LogoutDelivery) -> str:
        """Return when the token is sent again."""
        return ago(gettext("next attempt"), delivery.next_attempt_at)

    @admin.action(description=_("Try the selected logout deliveries again now"), permissions=["change"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[LogoutDelivery]) -> None:
        """Make the selected deliveries due now, and start to deliver them."""
        count = logout_delivery.retry_now(queryset)
        logout_dispatch.deliver_soon()
        message = pluralize(count, "{} logout delivery is tried again.", "{} logout deliveries are tried again.")
        self.message_user(request, message, messages.SUCCESS)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only the end of a session adds deliveries."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the administrator may try deliveries again. Their fields cannot be changed."""
        return obj is None and super().has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: an application that is not notified any more would keep its users signed in."""
        return False
