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
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts import purge
from accounts.admin.dashboard import MAX_COUNT
from accounts.admin.lists import confirmation_page, pluralize, requires_confirmation
from accounts.admin.session_columns import SessionColumns
from accounts.admin.session_filters import ApplicationFilter, EndReasonFilter, SessionOwnerFilter, StateFilter
from accounts.admin.user_filter import ByUserAdmin
from accounts.models import EndReason, RefreshToken, RefreshTokenQuerySet, SessionKind, User
from accounts.sessions import lifecycle
from accounts.values.clients import Client

_MAX_OWNERS = 100  # whose sessions a search by name returns
_MAX_LOG_ENTRIES = 1000  # per action in the admin's log; the event log and the owners' histories are complete
_BATCH_SIZE = 1000
_FIELDS = ("owner_link", "application_link", "state_explanation", "authentication", "relatives", "full_id")
_DEVICE_FIELDS = ("device", "ip_address", "browser_header")
_TIME_FIELDS = ("signed_in", "password_entered", "used", "expires_unused", "expires_anyway", "revoked")
_REVOCATION_CONSEQUENCES = _("The session ends now. The user has to sign in again on this device.")
_BROWSER_CONSEQUENCES = _(
    "The sign-in of this browser ends now, with every session of an application that came of it. The applications "
    "are notified. The user has to sign in again on this device."
)


@admin.register(RefreshToken)
class SessionAdmin(SessionColumns, ByUserAdmin):
    """Lists sessions, and revokes and purges them. Sessions are created by signing in, never in the admin."""

    names = (_("session"), _("sessions"))
    deletion_consequences = _(
        "Its tokens are rejected from now on, and it is not listed any more. To keep it in the list, revoke it."
    )
    list_display = (
        "short_id",
        "owner_link",
        "state",
        "level",
        "device_and_application",
        "ip_address",
        "created",
        "last_used",
    )
    list_display_links = ("short_id",)
    list_filter = (SessionOwnerFilter, ApplicationFilter, StateFilter, EndReasonFilter)
    list_select_related = ("owner", "application")
    user_filter = SessionOwnerFilter
    search_fields = ("uuid",)  # shows the search box; `get_search_results` decides
    search_help_text = _(
        "Search by session ID, IP address, or the start of the owner's username or email address."
    )
    actions = ("revoke_selected", "purge_selected")
    fieldsets = (
        (None, {"fields": _FIELDS}),
        (_("Device at sign-in"), {"fields": _DEVICE_FIELDS}),
        (_("Times"), {"fields": _TIME_FIELDS}),
    )
    readonly_fields = (*_FIELDS, *_DEVICE_FIELDS, *_TIME_FIELDS)

    def name_of(self, row: RefreshToken) -> str:
        """Return the end of the id and the owner, because an id alone means nothing to a reader."""
        return gettext("…{} of {}").format(str(row.pk)[-8:], row.owner)

    def describe_selection(self, queryset: QuerySet[RefreshToken]) -> str:
        """Return the number of the selected sessions, with the owner if all belong to the same user."""
        selection = super().describe_selection(queryset)
        owners = set(queryset.order_by()[: MAX_COUNT + 1].values_list("owner__username", flat=True))
        return gettext("{} of {}").format(selection, *owners) if len(owners) == 1 else selection

    @admin.action(description=_("Revoke selected sessions"), permissions=["change"])
    @requires_confirmation(
        _("Revoke {}"),
        _(
            "The sessions end now, and their users have to sign in again. "
            "Sessions that have ended stay as they are."
        ),
    )
    def revoke_selected(self, request: HttpRequest, queryset: RefreshTokenQuerySet) -> None:
        """Revoke every selected session that has not ended yet."""
        client = Client.from_environ(request.META)
        for session in queryset.filter(ended_at=None)[:_MAX_LOG_ENTRIES]:
            self.log_change(request, session, "Revoked.")
        count = lifecycle.end_many(queryset, EndReason.REVOKED, client, by=request.user.pk)
        message = pluralize(count, "{} session was revoked.", "{} sessions were revoked.")
        self.message_user(request, message, messages.SUCCESS)

    @admin.action(description=_("Purge selected sessions that have expired"), permissions=["delete"])
    @requires_confirmation(
        _("Purge expired sessions ({} selected)"),
        _("Selected sessions that have expired are deleted permanently. The others stay as they are."),
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
        """Revoke one session after confirmation, and return to its page."""
        session = get_object_or_404(RefreshToken.objects.select_related("owner"), pk=session_id)
        if not self.has_change_permission(request, session):
            raise PermissionDenied
        page = reverse("admin:accounts_refreshtoken_change", args=[session_id])
        if "confirmed" not in request.POST:
            title = gettext("Revoke session {}").format(self.name_of(session))
            is_browser = session.kind == SessionKind.BROWSER
            consequences = _BROWSER_CONSEQUENCES if is_browser else _REVOCATION_CONSEQUENCES
            return confirmation_page(request, title, consequences, back=page)
        client = Client.from_environ(request.META)
        if lifecycle.end(session_id, EndReason.REVOKED, client, by=request.user.pk):
            self.log_change(request, session, "Revoked.")
            self.message_user(request, gettext("The session was revoked."), messages.SUCCESS)
        else:
            self.message_user(request, gettext("The session had already ended."), messages.WARNING)
        return HttpResponseRedirect(page)

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
