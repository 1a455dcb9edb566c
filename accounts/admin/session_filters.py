"""The filters of the list of sessions: by owner, application, state and end reason."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin.user_filter import UserFilter
from accounts.models import Application, EndReason, SessionKind, SessionState
from accounts.models.applications import FIRST_PARTY

_MAX_APPLICATIONS = 100  # that the filter lists; the page of an application links to its sessions


class SessionOwnerFilter(UserFilter):
    """Filters sessions by owner."""

    title = _("owner")
    column = "owner"


class ApplicationFilter(admin.SimpleListFilter):
    """Filters sessions by the application that holds the tokens, or to the sign-ins of browsers."""

    title = _("application")
    parameter_name = "application"
    _BROWSER = "-browser-"  # no client id begins with a hyphen

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the sign-ins of browsers, this service's own endpoints, and the applications by name."""
        rows = Application.objects.order_by("name", "pk").values_list("client_id", "name")[:_MAX_APPLICATIONS]
        if not rows:
            return []  # hides the filter
        browser = (self._BROWSER, gettext(SessionKind.BROWSER.label))
        return [browser, (FIRST_PARTY, gettext("this service's own API")), *rows]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Filter to the sessions of the choice."""
        if not self.value():
            return queryset
        if self.value() == self._BROWSER:
            return queryset.filter(kind=SessionKind.BROWSER)
        if self.value() == FIRST_PARTY:
            return queryset.filter(application=None, kind=SessionKind.TOKENS)
        return queryset.filter(application=self.value())


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
