"""Sessions in the admin: find, view, revoke and purge them."""

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

_MAX_OWNERS = 100  # whose sessions a search by name returns
_MAX_LOG_ENTRIES = 1000  # per action in the admin's log; the event log and the owners' histories are complete
_BATCH_SIZE = 1000


class SessionOwnerFilter(UserFilter):
    """Filters sessions by owner."""

    title = "owner"
    column = "owner"


class StateFilter(admin.SimpleListFilter):
    """Filters sessions by state: live, expired or revoked."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states."""
        return [(state.value, str(state.label)) for state in SessionState]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Filter to sessions in the chosen state."""
        now = timezone.now()
        if self.value() == SessionState.LIVE:
            return queryset.expiring_today_or_later(now).live(now).with_valid_owner()
        if self.value() == SessionState.EXPIRED:
            return queryset.expired(now).filter(ended_at=None)
        if self.value() == SessionState.ENDED:
            return queryset.exclude(ended_at=None)
        return queryset


class EndReasonFilter(admin.SimpleListFilter):
    """Filters revoked sessions by the reason for their end."""

    title = "end reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the end reasons."""
        return [(reason.value, str(reason.label)) for reason in EndReason]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Filter to sessions that ended for the chosen reason.

        The condition on `ended_at` makes the query match a partial index.
        """
        if not self.value():
            return queryset
        if request.GET.get(StateFilter.parameter_name, SessionState.ENDED) != SessionState.ENDED:
            # Only ended sessions have an end reason. The planner does not know that and would read all of them.
            return queryset.none()
        return queryset.filter(ended_at__isnull=False, end_reason=self.value())


@admin.register(RefreshToken)
class SessionAdmin(ByUserAdmin):
    """Lists sessions, and revokes and purges them. Sessions are created by signing in, never in the admin."""

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
    search_help_text = "Search by session ID, IP address, or the start of the owner's username or email address."
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
        """Return the end of the id. The beginning is a timestamp, which sessions started together share."""
        return f"…{str(session.uuid)[-12:]}"

    @admin.display(description="owner")
    def owner_link(self, session: RefreshToken) -> str:
        """Return a link to the owner."""
        return link_to_user(session.owner_id, session.owner.username)

    @admin.display(description="state")
    def state(self, session: RefreshToken) -> str:
        """Return the state of the session, with the reason if it has ended."""
        state = session.state(timezone.now())
        if state is not SessionState.ENDED:
            return str(state.label)
        return f"{state.label}: {session.end_reason_label}"

    @admin.display(description="state")
    def state_explanation(self, session: RefreshToken) -> str:
        """Return the state of the session in full sentences, with its consequences."""
        state = session.state(timezone.now())
        if state is SessionState.ENDED:
            return f"Revoked: {session.end_reason_label}. Its tokens are rejected."
        if state is SessionState.LIVE:
            return "Live: its access token is accepted, and its refresh token can be exchanged for a new one."
        if session.expires_at < session.session_expires_at:
            return "Expired: not refreshed in time. Its tokens are rejected, and the next purge deletes it."
        return "Expired: maximum lifetime reached. Its tokens are rejected, and the next purge deletes it."

    @admin.display(description="device")
    def device(self, session: RefreshToken) -> str:
        """Return the browser or app and the system, as far as the user agent identifies them."""
        return devices.describe(session.user_agent)

    @admin.action(description="Revoke selected sessions", permissions=["change"])
    @requires_confirmation(
        "Revoke {}",
        "The sessions end now, and their users have to sign in again. Sessions that have ended stay as they are.",
    )
    def revoke_selected(self, request: HttpRequest, queryset: RefreshTokenQuerySet) -> None:
        """Revoke every selected session that has not ended yet."""
        client = Client.from_environ(request.META)
        for session in queryset.filter(ended_at=None)[:_MAX_LOG_ENTRIES]:
            self.log_change(request, session, "Revoked.")
        count = lifecycle.end_many(queryset, EndReason.REVOKED, client, by=request.user.pk)
        message = pluralize(count, "{} session was revoked.", "{} sessions were revoked.")
        self.message_user(request, message, messages.SUCCESS)

    @admin.action(description="Purge selected sessions that have expired", permissions=["delete"])
    @requires_confirmation(
        "Purge expired sessions ({} selected)",
        "Selected sessions that have expired are deleted permanently. The others stay as they are.",
    )
    def purge_selected(self, request: HttpRequest, queryset: RefreshTokenQuerySet) -> None:
        """Delete every selected session that has expired."""
        expired = queryset.expired(timezone.now())
        count = sum(purge.delete_in_batches(expired, _BATCH_SIZE))
        message = pluralize(count, "{} expired session was deleted.", "{} expired sessions were deleted.")
        self.message_user(request, message, messages.SUCCESS)

    def get_search_results(
        self,
        request: HttpRequest,
        queryset: QuerySet[RefreshToken],
        search_term: str,
    ) -> tuple[QuerySet[RefreshToken], bool]:
        """Search by session id, IP address, or prefix of the owner's username or email address, all indexed."""
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
        """Return the URLs, including the one that the revoke button posts to."""
        revoke = self.admin_site.admin_view(require_POST(self.revoke_session))
        urls = [path("<uuid:session_id>/revoke/", revoke, name="accounts_refreshtoken_revoke")]
        return [*urls, *super().get_urls()]

    def revoke_session(self, request: HttpRequest, session_id: UUID) -> HttpResponse:
        """Revoke one session, and return to its page."""
        session = get_object_or_404(RefreshToken.objects.select_related("owner"), pk=session_id)
        if not self.has_change_permission(request, session):
            raise PermissionDenied
        client = Client.from_environ(request.META)
        if lifecycle.end(session_id, EndReason.REVOKED, client, by=request.user.pk):
            self.log_change(request, session, "Revoked.")
            self.message_user(request, "The session was revoked.", messages.SUCCESS)
        else:
            self.message_user(request, "The session had already ended.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:accounts_refreshtoken_change", args=[session_id]))

    def delete_model(self, request: HttpRequest, obj: RefreshToken) -> None:
        """Revoke the session, so that its end is recorded, and delete its row."""
        lifecycle.end(obj.pk, EndReason.REVOKED, Client.from_environ(request.META), by=request.user.pk)
        super().delete_model(request, obj)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Return the page without save buttons, because every field is read-only."""
        context = {"show_save": False, "show_save_and_continue": False, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: sessions are created by signing in."""
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
