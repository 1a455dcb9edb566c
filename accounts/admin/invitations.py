"""Invitations in the admin: invite people, see what became of it, and revoke open invitations."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin.lists import BoundedAdmin, pluralize, requires_confirmation
from accounts.errors import AuthError, InvalidRequest
from accounts.models import DEFAULT_ROLE, Invitation, InvitationQuerySet, Role
from accounts.users import invitations
from accounts.values.clients import Client
from accounts.values.identifiers import normalize_email


class InvitationForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the checker only
    """Invites a person without further roles."""

    days = forms.IntegerField(
        min_value=1,
        max_value=invitations.MAX_LIFETIME.days,
        initial=invitations.DEFAULT_LIFETIME.days,
        help_text="How many days the link in the email is valid.",
    )

    class Meta:
        model = Invitation
        fields = ("email",)

    def clean_email(self) -> str:
        """Return the normalized address."""
        return normalize_email(self.cleaned_data["email"])

    def clean(self) -> dict[str, Any]:
        """Check the rules of invitations.

        Raises ValidationError.
        """
        cleaned = super().clean() or {}
        if "email" in cleaned:
            try:
                invitations.refuse_invalid(Invitation(email=cleaned["email"]))
            except InvalidRequest as error:
                raise ValidationError(error.errors) from None
            except AuthError as error:
                raise ValidationError(error.message, code=error.code) from None
        return cleaned


class InvitationWithRolesForm(InvitationForm):
    """Invites a person with roles, for superusers. A form without the field ignores roles that a request adds."""

    granted_roles = forms.ModelMultipleChoiceField(
        Role.objects.exclude(pk=DEFAULT_ROLE),
        required=False,
        label="Roles",
        help_text="The roles to grant in addition to the default role.",
    )


@admin.register(Invitation)
class InvitationAdmin(BoundedAdmin):
    """Sends, lists and revokes invitations. An invitation cannot be changed, because its email has been sent."""

    form = InvitationForm
    list_display = ("email", "role_names", "state", "invited_by", "created_at", "expires_at", "used_by")
    list_select_related = ("invited_by", "used_by")
    search_fields = ("^email",)
    search_help_text = "Search by the start of an email address."
    fields = ("email", "role_names", "state", "invited_by", "created_at", "expires_at", "used_at", "used_by")
    actions = ("revoke_selected",)

    @admin.display(description="roles")
    def role_names(self, invitation: Invitation) -> str:
        """Return the names of the granted roles."""
        return ", ".join(invitation.roles)

    @admin.display(description="state")
    def state(self, invitation: Invitation) -> str:
        """Return what became of the invitation."""
        return invitation.state(timezone.now())

    def get_fields(self, request: HttpRequest, obj: Invitation | None = None) -> tuple[str, ...]:
        """Return the fields. The form for a new invitation offers roles to superusers only."""
        if obj is not None:
            return self.fields
        return ("email", "granted_roles", "days") if request.user.is_superuser else ("email", "days")

    def get_form(
        self,
        request: HttpRequest,
        obj: Invitation | None = None,
        change: bool = False,  # noqa: FBT001, FBT002  Django's signature
        **options: Any,
    ) -> Any:
        """Return the form, which offers roles to superusers only."""
        form = InvitationWithRolesForm if request.user.is_superuser else InvitationForm
        return super().get_form(request, obj, change, **{"form": form, **options})

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        """Return whether the administrator may revoke invitations. The fields of one cannot be changed."""
        return obj is None and super().has_change_permission(request)

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:  # noqa: FBT001
        """Store the invitation and send its email."""
        granted = form.cleaned_data.get("granted_roles", ())
        sent = invitations.invite(
            obj.email,
            [role.name for role in granted],
            timedelta(days=form.cleaned_data["days"]),
            Client.from_environ(request.META),
            by=request.user.pk,
        )
        obj.__dict__.update(sent.__dict__)  # for the log entry and the response

    @admin.action(description="Revoke selected invitations", permissions=["change"])
    @requires_confirmation("Revoke {}", "The links in their emails stop working now.")
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        """Revoke the selected invitations that are open."""
        selected = InvitationQuerySet(Invitation).filter(pk__in=queryset.values("pk"))
        count = invitations.revoke(selected, Client.from_environ(request.META), by=request.user.pk)
        message = pluralize(count, "{} invitation was revoked.", "{} invitations were revoked.")
        self.message_user(request, message, messages.SUCCESS)
