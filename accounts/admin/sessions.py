"""Sessions in the admin: find them, see their state, revoke them."""

import ipaddress
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts import purge
from accounts.admin.lists import pluralize, requires_confirmation
from accounts.admin.user_filter import ByUserAdmin, UserFilter, link_to_user
from accounts.models import EndReason, RefreshToken, RefreshTokenQuerySet, SessionState, User
from accounts.sessions import lifecycle
from accounts.values import devices
from accounts.values.clients import Client

_MAX_OWNERS = 100
_MAX_LOG_ENTRIES = 1000  # in the admin's own log; the log of events and the owners' histories have them all
_BATCH_SIZE = 1000


class SessionOwnerFilter(UserFilter):
    """The sessions of one user."""

    title = "owner"
    column = "owner"


class StateFilter(admin.SimpleListFilter):
    """Live, expired or revoked."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the states."""
        return [(state.value, str(state.label)) for state in SessionState]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep the sessions in the state chosen."""
        now = timezone.now()
        if self.value() == SessionState.LIVE:
            return queryset.expiring_today_or_later(now).live(now).with_valid_owner()
        if self.value() == SessionState.EXPIRED:
            return queryset.expired(now).filter(ended_at=None)
        if self.value() == SessionState.ENDED:
            return queryset.exclude(ended_at=None)
        return queryset


class EndReasonFilter(admin.SimpleListFilter):
    """Why sessions were revoked."""

    title = "reason for the end"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the reasons."""
        return [(reason.value, str(reason.label)) for reason in EndReason]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep the sessions that ended for the reason chosen; naming the end as well lets an index answer."""
        if not self.value():
            return queryset
        if request.GET.get(StateFilter.parameter_name, SessionState.ENDED) != SessionState.ENDED:
            return queryset.none()  # no planner sees that, and reads all that ended
        return queryset.filter(ended_at__isnull=False, end_reason=self.value())


@admin.register(RefreshToken)
class SessionAdmin(ByUserAdmin):
    """Sessions are made by signing in; here they are read, revoked and purged."""

    list_display = (
        "short_id",
        "owner_link",
        "state",
        "address",
        "device",
        "created_at",
        "last_used_at",
        "expires_at",
    )
    list_display_links = ("short_id",)
    list_filter = (SessionOwnerFilter, StateFilter, EndReasonFilter)
    list_select_related = ("owner",)
    user_filter = SessionOwnerFilter
    search_fields = ("uuid",)  # shows the search box; `get_search_results` decides
    search_help_text = "A session's id, an IP address, or the beginning of the owner's username or e-mail address"
    actions = ("revoke_selected", "purge_selected")
    fields = (
        "uuid",
        "owner_link",
        "state_explanation",
        "created_at",
        "last_used_at",
        "expires_at",
        "session_expires_at",
        "authenticated_at",
        "ended_at",
        "generation",
        "address",
        "user_agent",
    )
    readonly_fields = fields

    @admin.display(description="session")
    def short_id(self, session: RefreshToken) -> str:
        """Show the end of the id, which tells sessions apart (the beginning is the time)."""
        return f"…{str(session.uuid)[-12:]}"

    @admin.display(description="owner")
    def owner_link(self, session: RefreshToken) -> str:
        """Lead to the owner."""
        return link_to_user(session.owner_id, session.owner.username)

    @admin.display(description="state")
    def state(self, session: RefreshToken) -> str:
        """Say what the session is now, and why it is over."""
        state = session.state(timezone.now())
        if state is not SessionState.ENDED:
            return str(state.label)
        return f"{state.label}: {session.end_reason_label}"

    @admin.display(description="state")
    def state_explanation(self, session: RefreshToken) -> str:
        """Say what the session is now, and what that means."""
        state = session.state(timezone.now())
        if state is SessionState.ENDED:
            return f"Revoked: {session.end_reason_label}. Its tokens are refused."
        if state is SessionState.LIVE:
            return "Live: its access token is honoured, and its refresh token gets another one."
        if session.expires_at < session.session_expires_at:
            return "Expired: it was not refreshed in time. Its tokens are refused; the next purge deletes it."
        return "Expired: it reached the longest life that a session has. The next purge deletes it."

    @admin.display(description="device")
    def device(self, session: RefreshToken) -> str:
        """Show the browser or app and the system, as far as the device told."""
        return devices.describe(session.user_agent)

    @admin.action(description="Revoke the selected sessions", permissions=["change"])
    @requires_confirmation("Those of them that are not over end now: who uses them has to sign in again.")
    def revoke_selected(self, request: HttpRequest, queryset: RefreshTokenQuerySet) -> None:
        """End them now."""
        client = Client.from_environ(request.META)
        for session in queryset.filter(ended_at=None)[:_MAX_LOG_ENTRIES]:
            self.log_change(request, session, "Revoked.")
        count = lifecycle.end_many(queryset, EndReason.REVOKED, client, by=request.user.pk)
        were = pluralize(count, "{} session was", "{} sessions were")
        self.message_user(request, f"{were} revoked; what else was chosen was over already.", messages.SUCCESS)

    @admin.action(description="Purge those of the selected sessions that have expired", permissions=["delete"])
    @requires_confirmation(
        "Those of them that have expired are deleted; whoever looks for them later finds nothing."
    )
    def purge_selected(self, request: HttpRequest, queryset: RefreshTokenQuerySet) -> None:
        """Delete them."""
        expired = queryset.expired(timezone.now())
        count = sum(purge.delete_in_batches(expired, _BATCH_SIZE))
        were = pluralize(count, "{} expired session was", "{} expired sessions were")
        self.message_user(request, f"{were} deleted.", messages.SUCCESS)

    def get_search_results(
        self,
        request: HttpRequest,
        queryset: QuerySet[RefreshToken],
        search_term: str,
    ) -> tuple[QuerySet[RefreshToken], bool]:
        """Search by what an index answers."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if session_id := _parse_uuid(term):
            return queryset.filter(pk=session_id), False
        if address := _parse_ip_address(term):
            return queryset.filter(address=address), False
        owners = list(User.objects.get_queryset().with_prefix(term).values_list("pk", flat=True)[:_MAX_OWNERS])
        return queryset.filter(owner_id__in=owners), False

    def get_urls(self) -> list[URLPattern]:
        """Add the button's target."""
        revoke = self.admin_site.admin_view(require_POST(self.revoke_session))
        urls = [path("<uuid:session_id>/revoke/", revoke, name="accounts_refreshtoken_revoke")]
        return [*urls, *super().get_urls()]

    def revoke_session(self, request: HttpRequest, session_id: UUID) -> HttpResponse:
        """End the session whose page the button is on."""
        session = get_object_or_404(RefreshToken.objects.select_related("owner"), pk=session_id)
        if not self.has_change_permission(request, session):
            raise PermissionDenied
        client = Client.from_environ(request.META)
        if lifecycle.end(session_id, EndReason.REVOKED, client, by=request.user.pk):
            self.log_change(request, session, "Revoked.")
            self.message_user(request, "The session was revoked.", messages.SUCCESS)
        else:
            self.message_user(request, "The session was over already.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:accounts_refreshtoken_change", args=[session_id]))

    def delete_model(self, request: HttpRequest, obj: RefreshToken) -> None:
        """Delete the row, which ends the session, and tell of it."""
        lifecycle.end(obj.pk, EndReason.REVOKED, Client.from_environ(request.META), by=request.user.pk)
        super().delete_model(request, obj)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the page without the buttons that would save nothing."""
        context = {"show_save": False, "show_save_and_continue": False, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tell that sessions are not made here."""
        return False


def _parse_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _parse_ip_address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
