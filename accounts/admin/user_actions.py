"""The actions on users in the admin: for selected users on the list, and buttons on a user's page."""

from collections.abc import Callable

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.admin.lists import BoundedAdmin, confirmation_page, pluralize, requires_confirmation
from accounts.factors import changes
from accounts.models import EndReason, RefreshToken, User
from accounts.sessions import lifecycle
from accounts.users import activation, email_verification, passwords
from accounts.values.clients import Client

_RESET_CONSEQUENCES = _(
    "This removes the current password, ends every session now, and emails a link to choose a new password."
)
_FACTOR_CONSEQUENCES = _(
    "The password alone signs this user in again. Every session ends now, and the user is notified by email. Make "
    "sure that it is the user who asks: attackers ask for this too."
)
_REVOCATION_CONSEQUENCES = _("Every session ends now. Signing in again is required on every device.")


class UserActionsAdmin(BoundedAdmin):
    """A list of users with the actions on them. `has_change_permission` decides for each user."""

    actions = (
        "deactivate_selected",
        "activate_selected",
        "force_reset_selected",
        "revoke_selected",
        "verify_selected",
    )

    @admin.action(description=_("Deactivate selected users"), permissions=["change"])
    @requires_confirmation(
        _("Deactivate {}"), _("Deactivated users cannot sign in, and all their sessions end now.")
    )
    def deactivate_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Deactivate the selected users and end their sessions."""
        count = self._change_each(request, queryset.filter(is_active=True), activation.deactivate, "Deactivated.")
        message = pluralize(
            count,
            "{} user was deactivated. All sessions ended.",
            "{} users were deactivated. All sessions ended.",
        )
        self.message_user(request, message, messages.SUCCESS)

    @admin.action(description=_("Activate selected users"), permissions=["change"])
    def activate_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Activate the selected users, who can then sign in again."""
        count = self._change_each(request, queryset.filter(is_active=False), activation.activate, "Activated.")
        message = pluralize(
            count, "{} user was activated and can sign in again.", "{} users were activated and can sign in again."
        )
        self.message_user(request, message, messages.SUCCESS)

    @admin.action(description=_("Force a password reset for selected users"), permissions=["change"])
    @requires_confirmation(
        _("Force a password reset for {}"),
        format_lazy("{} {}", _RESET_CONSEQUENCES, _("Deactivated users are skipped.")),
    )
    def force_reset_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Remove the passwords of the selected active users, end their sessions, and email them a reset link."""
        active = queryset.filter(is_active=True)
        count = self._change_each(request, active, passwords.force_reset, "Forced a password reset.")
        message = pluralize(
            count,
            "Forced a password reset for {} user, who gets an email with a link.",
            "Forced a password reset for {} users, who get an email with a link.",
        )
        self.message_user(request, message, messages.SUCCESS)

    @admin.action(description=_("Revoke all sessions of selected users"), permissions=["change"])
    @requires_confirmation(_("Revoke all sessions of {}"), _REVOCATION_CONSEQUENCES)
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Revoke every session of the selected users."""
        count = self._change_each(request, queryset, _revoke_all, "Revoked all sessions.")
        message = pluralize(
            count, "All sessions of {} user were revoked.", "All sessions of {} users were revoked."
        )
        self.message_user(request, message, messages.SUCCESS)

    @admin.action(description=_("Mark email addresses of selected users as verified"), permissions=["change"])
    def verify_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Mark the email addresses of the selected users as verified."""
        unverified = queryset.filter(email_verified_at=None)
        count = self._change_each(
            request, unverified, email_verification.mark_verified, "Marked the email address as verified."
        )
        message = pluralize(
            count, "{} email address was marked as verified.", "{} email addresses were marked as verified."
        )
        self.message_user(request, message, messages.SUCCESS)

    def _change_each(
        self, request: HttpRequest, users: QuerySet[User], change: Callable[..., object], log_message: str
    ) -> int:
        """Apply and log a change for each user whom the administrator may change, and return their number."""
        client = Client.from_environ(request.META)
        allowed = [user for user in users.iterator() if self.has_change_permission(request, user)]
        for user in allowed:
            change(user, client, by=request.user.pk)
            self.log_change(request, user, log_message)
        return len(allowed)

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs, including those that the buttons on a user's page post to."""
        view = self.admin_site.admin_view
        urls = [
            path("<int:user_id>/revoke/", view(require_POST(self.revoke_all)), name="accounts_user_revoke"),
            path(
                "<int:user_id>/factors/",
                view(require_POST(self.reset_factors)),
                name="accounts_user_reset_factors",
            ),
            path("<int:user_id>/reset/", view(require_POST(self.force_reset)), name="accounts_user_reset"),
        ]
        return [*urls, *super().get_urls()]

    def revoke_all(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """Revoke every session of a user after confirmation, and return to the user's page."""
        user = self._get_changeable_user(request, user_id)
        if "confirmed" not in request.POST:
            count = RefreshToken.objects.filter(owner=user, ended_at=None).count()
            title = pluralize(count, "Revoke {} session of {}", "Revoke {} sessions of {}", user)
            return confirmation_page(request, title, _REVOCATION_CONSEQUENCES, back=_change_page_url(user))
        count = _revoke_all(user, Client.from_environ(request.META), by=request.user.pk)
        self.log_change(request, user, f"Revoked all sessions ({count}).")
        message = pluralize(count, "{} session of {} was revoked.", "{} sessions of {} were revoked.", user)
        self.message_user(request, message, messages.SUCCESS)
        return HttpResponseRedirect(_change_page_url(user))

    def reset_factors(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """Remove a user's second factors after confirmation, and return to the user's page."""
        user = self._get_changeable_user(request, user_id)
        if "confirmed" not in request.POST:
            title = gettext("Remove all second factors of {}").format(user)
            return confirmation_page(request, title, _FACTOR_CONSEQUENCES, back=_change_page_url(user))
        count = changes.reset(user, Client.from_environ(request.META), by=request.user.pk)
        self.log_change(request, user, f"Removed all second factors ({count}).")
        message = pluralize(
            count, "{} second factor of {} was removed.", "{} second factors of {} were removed.", user
        )
        self.message_user(request, message, messages.SUCCESS)
        return HttpResponseRedirect(_change_page_url(user))

    def force_reset(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """Remove a user's password after confirmation, email a reset link, and return to the user's page."""
        user = self._get_changeable_user(request, user_id)
        if not user.is_active:
            self.message_user(
                request,
                gettext("The user {} is deactivated and gets no email. Activate the user first.").format(user),
                messages.ERROR,
            )
            return HttpResponseRedirect(_change_page_url(user))
        if "confirmed" not in request.POST:
            title = gettext("Force a password reset for {}").format(user)
            return confirmation_page(request, title, _RESET_CONSEQUENCES, back=_change_page_url(user))
        passwords.force_reset(user, Client.from_environ(request.META), by=request.user.pk)
        self.log_change(request, user, "Forced a password reset.")
        message = gettext("Forced a password reset for {}, who gets an email with a link.").format(user)
        self.message_user(request, message, messages.SUCCESS)
        return HttpResponseRedirect(_change_page_url(user))

    def _get_changeable_user(self, request: HttpRequest, user_id: int) -> User:
        user = get_object_or_404(User, pk=user_id)
        if not self.has_change_permission(request, user):
            raise PermissionDenied
        return user


def _change_page_url(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk])


def _revoke_all(user: User, client: Client, *, by: int | None) -> int:
    return lifecycle.end_all(user.pk, EndReason.REVOKED, client, by=by)
