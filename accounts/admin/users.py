"""Users in the admin. What changes here takes the same way as everywhere else, and bites as fast."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth import admin as auth_admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from accounts.admin.lists import BoundedAdmin, confirmation_page, pluralize, requires_confirmation
from accounts.admin.user_forms import PasswordForm, UserAddForm, UserEditForm
from accounts.errors import EmailTaken, UsernameTaken
from accounts.history.events import Event, record
from accounts.models import DEFAULT_ROLE, Activity, EndReason, RefreshToken, User, UserQuerySet
from accounts.sessions import lifecycle
from accounts.users import activation, deletion, email_verification, passwords, profile, roles
from accounts.users.name_rules import NAMES
from accounts.values.clients import Client

PRIVILEGE_FIELDS = ("roles", "is_staff", "is_superuser", "groups", "user_permissions")
_RESET_CONSEQUENCES = (
    "The password is taken away, all sessions end now, and a link to choose a new one is mailed, for each."
)
_REVOCATION_CONSEQUENCES = "All sessions end now, for each: who uses them has to sign in again, on every device."


@admin.register(User)
class UserAdmin(BoundedAdmin, auth_admin.UserAdmin):  # type: ignore[type-arg]  # generic for the checker only
    """Users with their roles, and a way to their sessions."""

    add_form = UserAddForm
    form = UserEditForm
    ordering = ("-pk",)
    list_display = (
        "username",
        "email",
        "fullname",
        "is_active",
        "is_staff",
        "created_at",
        "last_login",
        "sessions_link",
    )
    list_filter = ("is_active", "is_staff", "is_superuser", "roles")
    search_fields = ("username",)  # shows the search box; `get_search_results` decides
    search_help_text = "The beginning of a username or an e-mail address"
    filter_horizontal = ("roles", "groups", "user_permissions")
    readonly_fields = ("password_state", "email_verified_at", "created_at", "last_login")
    actions = (
        "deactivate_selected",
        "activate_selected",
        "force_reset_selected",
        "revoke_selected",
        "verify_selected",
    )
    fieldsets = (
        (None, {"fields": ("username", "email", "email_verified_at", "fullname", "password_state")}),
        ("Access to the API", {"fields": ("is_active", "roles")}),
        ("Access to this site", {"fields": ("is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("created_at", "last_login")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "email", "fullname", "usable_password", "password1", "password2")}),
    )

    @admin.display(description="sessions")
    def sessions_link(self, user: User) -> str:
        """Lead to the user's sessions."""
        url = reverse("admin:accounts_refreshtoken_changelist")
        return format_html('<a href="{}?owner__id__exact={}">sessions</a>', url, user.pk)

    @admin.display(description="password")
    def password_state(self, user: User) -> str:
        """Say whether there is a password, and lead to where it is changed."""
        state = "set" if user.has_usable_password() else "none: the user cannot sign in"
        return format_html('{} (<a href="../password/">change it</a>)', state)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Keep whoever is no superuser from giving rights, to others or to themselves."""
        rights = () if request.user.is_superuser else PRIVILEGE_FIELDS
        return (*self.readonly_fields, *rights)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Keep whoever is no superuser from accounts with more rights, their passwords above all."""
        return super().has_change_permission(request, obj) and not _has_more_privileges(obj, request)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Keep whoever is no superuser from deleting accounts with more rights."""
        return super().has_delete_permission(request, obj) and not _has_more_privileges(obj, request)

    def get_search_results(
        self,
        request: HttpRequest,
        queryset: QuerySet[User],
        search_term: str,
    ) -> tuple[QuerySet[User], bool]:
        """Search by what an index answers; the fields of other models that choose an owner search so too."""
        term = search_term.strip()
        users = cast("UserQuerySet", queryset)
        return (users.with_prefix(term) if term else users), False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:  # noqa: FBT001
        """Write what the form changed and nothing else: what others change meanwhile stays."""
        if change:
            self._save_changes(request, obj, form)
            return
        obj.email_verified_at = timezone.now()  # the administrator vouches for the address
        super().save_model(request, obj, form, change)
        client = Client.from_environ(request.META)
        record(Event.USER_REGISTERED, client=client, user_id=obj.pk, by=request.user.pk)

    def _save_changes(self, request: HttpRequest, user: User, form: Any) -> None:
        stored = User.objects.filter(pk=user.pk).first()
        if stored is None:
            self.message_user(request, "The user has been deleted in the meantime.", messages.ERROR)
            return
        client = Client.from_environ(request.META)
        names = {name: form.cleaned_data[name] for name in NAMES.intersection(form.changed_data)}
        try:
            profile.replace(stored, names, client, by=request.user.pk)
        except (UsernameTaken, EmailTaken) as error:
            # Somebody took the name since the form was checked.
            self.message_user(request, error.message, messages.ERROR)
        columns = {field.name for field in User._meta.concrete_fields} - NAMES
        user.save(update_fields=columns.intersection(form.changed_data))
        if "is_active" in form.changed_data:
            change_state = activation.activate if user.is_active else activation.deactivate
            change_state(user, client, by=request.user.pk)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        """Change the roles where roles are changed; a new user gets the role that everybody has."""
        if not change:
            form.instance.roles.add(DEFAULT_ROLE)
        names = [role.name for role in form.cleaned_data.pop("roles", ())]
        super().save_related(request, form, formsets, change)
        if "roles" in form.changed_data:
            roles.replace(form.instance, names, Client.from_environ(request.META), by=request.user.pk)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Delete the user with all sessions."""
        deletion.delete(obj, Client.from_environ(request.META), by=request.user.pk)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[Any], list[Any]]:
        """Count what goes with a user, where Django would list every session and every event."""
        users = [user.pk for user in objs]
        counts = {
            "users": len(users),
            "sessions": RefreshToken.objects.filter(owner__in=users).count(),
            "security events": Activity.objects.filter(user__in=users).count(),
        }
        is_allowed = all(self.has_delete_permission(request, user) for user in objs)
        missing = set() if is_allowed else {User._meta.verbose_name}
        return [str(user) for user in objs], counts, missing, []

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Show and take the password form, which has to know who changes it."""
        bound = copy.copy(self)
        bound.change_password_form = partial(PasswordForm, request=request)
        return super(UserAdmin, bound).user_change_password(request, id, form_url)

    @admin.action(description="Deactivate the selected users", permissions=["change"])
    @requires_confirmation("They cannot sign in any more, and their sessions end now.")
    def deactivate_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Refuse them from now on, and end their sessions."""
        count = self._change_each(request, queryset.filter(is_active=True), activation.deactivate, "Deactivated.")
        one, more = "{} user is deactivated", "{} users are deactivated"
        self.message_user(request, f"{pluralize(count, one, more)}; no session goes on.", messages.SUCCESS)

    @admin.action(description="Activate the selected users", permissions=["change"])
    def activate_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let them sign in again."""
        count = self._change_each(request, queryset.filter(is_active=False), activation.activate, "Activated.")
        who = pluralize(count, "{} user", "{} users")
        self.message_user(request, f"{who} may sign in again.", messages.SUCCESS)

    @admin.action(description="Force a password reset of the selected users", permissions=["change"])
    @requires_confirmation(_RESET_CONSEQUENCES)
    def force_reset_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Take their passwords away, end their sessions, and mail each a link to choose a new password."""
        active = queryset.filter(is_active=True)
        count = self._change_each(request, active, passwords.force_reset, "Forced a password reset.")
        have = pluralize(count, "{} user has", "{} users have")
        self.message_user(request, f"{have} no password now, and a mail to choose one.", messages.SUCCESS)

    @admin.action(description="Revoke all sessions of the selected users", permissions=["change"])
    @requires_confirmation(_REVOCATION_CONSEQUENCES)
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """End them now."""
        count = self._change_each(request, queryset, _revoke_all, "Revoked all sessions.")
        self.message_user(
            request, f"The sessions of {pluralize(count, '{} user', '{} users')} are over.", messages.SUCCESS
        )

    @admin.action(description="Take the addresses of the selected users for verified", permissions=["change"])
    def verify_selected(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Vouch for them."""
        unverified = queryset.filter(email_verified_at=None)
        count = self._change_each(
            request, unverified, email_verification.mark_verified, "Vouched for the e-mail address."
        )
        are = pluralize(count, "The address of {} user is", "The addresses of {} users are")
        self.message_user(request, f"{are} verified now.", messages.SUCCESS)

    def _change_each(
        self, request: HttpRequest, users: QuerySet[User], change: Callable[..., object], log_message: str
    ) -> int:
        """Do something to each user whom the administrator may change, and log it; return to how many."""
        client = Client.from_environ(request.META)
        allowed = [user for user in users.iterator() if self.has_change_permission(request, user)]
        for user in allowed:
            change(user, client, by=request.user.pk)
            self.log_change(request, user, log_message)
        return len(allowed)

    def get_urls(self) -> list[URLPattern]:
        """Add the buttons' targets."""
        view = self.admin_site.admin_view
        urls = [
            path("<int:user_id>/revoke/", view(require_POST(self.revoke_all)), name="accounts_user_revoke"),
            path("<int:user_id>/reset/", view(require_POST(self.force_reset)), name="accounts_user_reset"),
        ]
        return [*urls, *super().get_urls()]

    def revoke_all(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """End every session of the user whose page the button is on."""
        user = self._get_changeable_user(request, user_id)
        if "confirmed" not in request.POST:
            return confirmation_page(
                request, "Revoke all sessions", user, _REVOCATION_CONSEQUENCES, back=_change_page_url(user)
            )
        count = _revoke_all(user, Client.from_environ(request.META), by=request.user.pk)
        self.log_change(request, user, f"Revoked all sessions ({count}).")
        were = pluralize(count, "{} session of {} was", "{} sessions of {} were", user)
        self.message_user(request, f"{were} revoked.", messages.SUCCESS)
        return HttpResponseRedirect(_change_page_url(user))

    def force_reset(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """Take the password of the user whose page the button is on, and mail a link to choose a new one."""
        user = self._get_changeable_user(request, user_id)
        if not user.is_active:
            self.message_user(request, f"{user} is deactivated and would get no mail.", messages.ERROR)
            return HttpResponseRedirect(_change_page_url(user))
        if "confirmed" not in request.POST:
            return confirmation_page(
                request, "Force a password reset", user, _RESET_CONSEQUENCES, back=_change_page_url(user)
            )
        passwords.force_reset(user, Client.from_environ(request.META), by=request.user.pk)
        self.log_change(request, user, "Forced a password reset.")
        self.message_user(request, f"{user} has no password now, and a mail to choose one.", messages.SUCCESS)
        return HttpResponseRedirect(_change_page_url(user))

    def _get_changeable_user(self, request: HttpRequest, user_id: int) -> User:
        user = get_object_or_404(User, pk=user_id)
        if not self.has_change_permission(request, user):
            raise PermissionDenied
        return user


def _has_more_privileges(user: User | None, request: HttpRequest) -> bool:
    """Tell whether an account has rights that the administrator cannot give, and would get with its password."""
    if user is None or request.user.is_superuser or user.pk == request.user.pk:
        return False
    return user.is_superuser or user.is_staff or user.roles.exclude(pk=DEFAULT_ROLE).exists()


def _change_page_url(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk])


def _revoke_all(user: User, client: Client, *, by: int | None) -> int:
    return lifecycle.end_all(user.pk, EndReason.REVOKED, client, by=by)
