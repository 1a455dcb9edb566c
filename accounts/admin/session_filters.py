"""The filters of the list of sessions: by owner, state and end reason."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin.user_filter import UserFilter
from accounts.models import EndReason, SessionState


class SessionOwnerFilter(UserFilter):
    """Filters sessions by owner."""

    title = _("owner")
    column = "owner"


class StateFilter(admin.SimpleListFilter):
    """Filters sessions by state: live, expired or revoked."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states."""
        return [(state.value, gettext(state.label)) for state in SessionState]

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

    title = _("end reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the end reasons."""
        return [(reason.value, gettext(reason.label)) for reason in EndReason]

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
