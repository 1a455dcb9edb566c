"""Invitations in the admin: invite people, see what became of it, and revoke open invitations."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin.display import ago, badge, moment, shorten
from accounts.admin.lists import BoundedAdmin, pluralize, requires_confirmation
from accounts.admin.user_filter import link_to
from accounts.errors import AuthError, InvalidRequest
from accounts.models import DEFAULT_ROLE, Invitation, InvitationQuerySet, Role
from accounts.users import invitations
from accounts.values.clients import Client
from accounts.values.identifiers import normalize_email

_BADGES = {"open": "good", "used": "neutral", "expired": "neutral", "revoked": "bad"}


class InvitationForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the checker only
    """Invites a person without further roles."""

    days = forms.IntegerField(
        min_value=1,
        max_value=invitations.MAX_LIFETIME.days,
        initial=invitations.DEFAULT_LIFETIME.days,
        label=_("Days"),
        help_text=_("How many days the link in the email is valid."),
    )

    class Meta:
        model = Invitation
        fields = ("email",)
        labels: ClassVar = {"email": _("Email address")}

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
        label=_("Roles"),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("The roles to grant in addition to the default role."),
    )


@admin.register(Invitation)
class InvitationAdmin(BoundedAdmin):
    """Sends, lists and revokes invitations. An invitation cannot be changed, because its email has been sent."""

    form = InvitationForm
    names = (_("invitation"), _("invitations"))
    deletion_consequences = _(
        "The link in its email stops working now, and the invitation is not listed any more."
    )
    list_display = ("address", "role_names", "state", "inviter", "created", "expires", "account")
    list_select_related = ("invited_by", "used_by")
    search_fields = ("^email",)
    search_help_text = _("Search by the start of an email address.")
    fields = ("address", "role_names", "state", "inviter", "sent", "valid_until", "used", "account")
    actions = ("revoke_selected",)

    @admin.display(description=_("email address"))
    def address(self, invitation: Invitation) -> str:
        """Return the address that was invited."""
        return shorten(invitation.email)

    @admin.display(description=_("roles"))
    def role_names(self, invitation: Invitation) -> str:
        """Return the names of the granted roles."""
        return shorten(", ".join(invitation.roles))

    @admin.display(description=_("state"))
    def state(self, invitation: Invitation) -> str:
        """Return what became of the invitation."""
        state = invitation.state(timezone.now())
        return badge(_BADGES[state], gettext(state))

    @admin.display(description=_("invited by"))
    def inviter(self, invitation: Invitation) -> str:
        """Return a link to the administrator who sent the invitation."""
        return link_to(invitation.invited_by)

    @admin.display(description=_("account"))
    def account(self, invitation: Invitation) -> str:
        """Return a link to the account that was created with the invitation."""
        return link_to(invitation.used_by)

    @admin.display(description=_("created"))
    def created(self, invitation: Invitation) -> str:
        """Return how long ago the invitation was sent."""
        return ago(gettext("created"), invitation.created_at)

    @admin.display(description=_("expires"))
    def expires(self, invitation: Invitation) -> str:
        """Return when the link in the email expires."""
        return ago(gettext("expires"), invitation.expires_at)

    @admin.display(description=_("sent"))
    def sent(self, invitation: Invitation) -> str:
        """Return when the invitation was sent."""
        return moment(invitation.created_at)

    @admin.display(description=_("valid until"))
    def valid_until(self, invitation: Invitation) -> str:
        """Return when the link in the email expires."""
        return moment(invitation.expires_at)

    @admin.display(description=_("used"))
    def used(self, invitation: Invitation) -> str:
        """Return when an account was created with the invitation."""
        return moment(invitation.used_at)

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

    @admin.action(description=_("Revoke selected invitations"), permissions=["change"])
    @requires_confirmation(_("Revoke {}"), _("The links in their emails stop working now."))
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        """Revoke the selected invitations that are open."""
        selected = InvitationQuerySet(Invitation).filter(pk__in=queryset.values("pk"))
        count = invitations.revoke(selected, Client.from_environ(request.META), by=request.user.pk)
        message = pluralize(count, "{} invitation was revoked.", "{} invitations were revoked.")
        self.message_user(request, message, messages.SUCCESS)
