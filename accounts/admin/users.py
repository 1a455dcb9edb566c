"""Users in the admin. Changes go through `accounts.users`, so that they take effect immediately."""

import copy
from functools import partial
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth import admin as auth_admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin.lists import titled
from accounts.admin.user_actions import UserActionsAdmin
from accounts.admin.user_columns import UserColumns
from accounts.admin.user_forms import PasswordForm, UserAddForm, UserEditForm
from accounts.errors import AccountInUse, EmailTaken, UsernameTaken
from accounts.history.events import Event, record
from accounts.models import DEFAULT_ROLE, Activity, RefreshToken, User, UserQuerySet
from accounts.users import activation, deletion, profile, roles
from accounts.users.name_rules import PROFILE_FIELDS
from accounts.values.clients import Client

PRIVILEGE_FIELDS = ("roles", "is_staff", "is_superuser", "groups", "user_permissions")
"""The fields that only superusers can edit."""


@admin.register(User)
class UserAdmin(UserColumns, UserActionsAdmin, auth_admin.UserAdmin):  # type: ignore[type-arg]  # generic for the checker only
    """Manages users and their roles, and links to their sessions."""

    add_form = UserAddForm
    form = UserEditForm
    ordering = ("-pk",)
    names = (_("user"), _("users"))
    deletion_consequences = _("The account is deleted permanently, with everything that belongs to it.")
    list_display = ("name", "address", "person", "state", "admin_access", "created", "sessions_link")
    list_filter = (
        ("is_active", titled(admin.BooleanFieldListFilter, _("active"))),
        ("is_staff", titled(admin.BooleanFieldListFilter, _("staff"))),
        "is_superuser",
        ("roles", titled(admin.RelatedFieldListFilter, _("roles"))),
    )
    search_fields = ("username",)  # shows the search box; `get_search_results` decides
    search_help_text = _("Search by the start of a username or email address.")
    filter_horizontal = ()
    readonly_fields = ("password_state", "second_factors", "email_verified", "registered", "last_sign_in")
    fieldsets = (
        (None, {"fields": ("username", "email", "email_verified", "fullname", "language")}),
        (_("Authentication"), {"fields": ("password_state", "second_factors")}),
        (_("API access"), {"fields": ("is_active", "roles")}),
        (_("Admin access"), {"fields": ("is_staff", "is_superuser")}),
        (
            _("Groups and permissions in the admin"),
            {"fields": ("groups", "user_permissions"), "classes": ("collapse",)},
        ),
        (_("Times"), {"fields": ("registered", "last_sign_in")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "email", "fullname", "usable_password", "password1", "password2")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Return the read-only fields. Only superusers can grant privileges, even to themselves."""
        privileges = () if request.user.is_superuser else PRIVILEGE_FIELDS
        return (*self.readonly_fields, *privileges)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Return whether the administrator may change the user.

        Only superusers may change accounts that have privileges: to set the password of an account is enough to
        sign in to it.
        """
        return super().has_change_permission(request, obj) and not _has_more_privileges(obj, request)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Return whether the administrator may delete the user, under the same rule as for changes."""
        return super().has_delete_permission(request, obj) and not _has_more_privileges(obj, request)

    def get_search_results(
        self,
        request: HttpRequest,
        queryset: QuerySet[User],
        search_term: str,
    ) -> tuple[QuerySet[User], bool]:
        """Search by prefix of the username or email address, which are indexed.

        The user filter of other lists searches with this method too.
        """
        term = search_term.strip()
        users = cast("UserQuerySet", queryset)
        return (users.with_prefix(term) if term else users), False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:  # noqa: FBT001
        """Create the user, or save only the fields that the form changed.

        Saving the whole row would revert what was changed elsewhere since the page was opened.
        """
        if change:
            self._save_changes(request, obj, form)
            return
        obj.email_verified_at = timezone.now()  # The administrator is responsible for the address.
        super().save_model(request, obj, form, change)
        client = Client.from_environ(request.META)
        record(Event.USER_REGISTERED, client=client, user_id=obj.pk, by=request.user.pk)

    def _save_changes(self, request: HttpRequest, user: User, form: Any) -> None:
        stored = User.objects.filter(pk=user.pk).first()
        if stored is None:
            self.message_user(
                request, gettext("The user was deleted in the meantime. Nothing was saved."), messages.ERROR
            )
            return
        client = Client.from_environ(request.META)
        names = {name: form.cleaned_data[name] for name in PROFILE_FIELDS.intersection(form.changed_data)}
        try:
            profile.replace(stored, names, client, by=request.user.pk)
        except (UsernameTaken, EmailTaken) as error:
            # Another account took the name after the form was validated.
            self.message_user(request, error.message, messages.ERROR)
        columns = {field.name for field in User._meta.concrete_fields} - PROFILE_FIELDS
        user.save(update_fields=columns.intersection(form.changed_data))
        if "is_active" in form.changed_data:
            change_state = activation.activate if user.is_active else activation.deactivate
            change_state(user, client, by=request.user.pk)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        """Save the roles with the same function as the API, and grant a new user the default role."""
        if not change:
            form.instance.roles.add(DEFAULT_ROLE)
        names = [role.name for role in form.cleaned_data.pop("roles", ())]
        super().save_related(request, form, formsets, change)
        if "roles" in form.changed_data:
            roles.replace(form.instance, names, Client.from_environ(request.META), by=request.user.pk)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Return the confirmation page, or delete the user unless other rows protect the account."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except AccountInUse:
            self.message_user(
                request, gettext("Not deleted: other records still refer to this user."), messages.ERROR
            )
            return redirect("admin:accounts_user_change", object_id)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Delete the user with all sessions and the history."""
        deletion.delete(obj, Client.from_environ(request.META), by=request.user.pk)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[Any], list[Any]]:
        """Return the number of related rows. Django would list every session and every event on the page."""
        users = [user.pk for user in objs]
        counts = {
            str(RefreshToken._meta.verbose_name_plural): RefreshToken.objects.filter(owner__in=users).count(),
            str(Activity._meta.verbose_name_plural): Activity.objects.filter(user__in=users).count(),
        }
        is_allowed = all(self.has_delete_permission(request, user) for user in objs)
        missing = set() if is_allowed else {str(User._meta.verbose_name)}
        return [str(user) for user in objs], counts, missing, []

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Return the password page, or process its form.

        The form needs the request, to record which administrator changed the password.
        """
        bound = copy.copy(self)
        bound.change_password_form = partial(PasswordForm, request=request)
        return super(UserAdmin, bound).user_change_password(request, id, form_url)


def _has_more_privileges(user: User | None, request: HttpRequest) -> bool:
    """Return whether an account has privileges that the administrator lacks but would gain with its password."""
    if user is None or request.user.is_superuser or user.pk == request.user.pk:
        return False
    return user.is_superuser or user.is_staff or user.roles.exclude(pk=DEFAULT_ROLE).exists()
