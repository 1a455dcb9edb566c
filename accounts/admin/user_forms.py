"""The forms that create users, edit users and set their passwords in the admin."""

from typing import Any, ClassVar

from django import forms
from django.contrib.auth.forms import AdminPasswordChangeForm, AdminUserCreationForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.users import passwords
from accounts.users.name_rules import NAMES
from accounts.values import languages
from accounts.values.clients import Client
from accounts.values.identifiers import normalize, normalize_email

_LABELS = {
    "username": _("Username"),
    "email": _("Email address"),
    "fullname": _("Full name"),
    "is_active": _("Active"),
    "roles": _("Roles"),
    "is_staff": _("Staff"),
}
_HELP_TEXTS = {
    "username": _("Letters and digits of any script, and . _ - +"),
    "is_active": _("Clear this to deactivate the user. All of their sessions end permanently."),
    "is_staff": _("Whether the user can sign in to this admin site."),
}


class NormalizedNames:
    """Normalizes the username and the email address of a form before the model validates them."""

    cleaned_data: dict[str, Any]

    def clean_username(self) -> str:
        """Return the normalized username. The model checks whether it is taken."""
        return normalize(self.cleaned_data["username"])

    def clean_email(self) -> str:
        """Return the normalized email address."""
        return normalize_email(self.cleaned_data["email"])


class UserAddForm(NormalizedNames, AdminUserCreationForm):  # type: ignore[type-arg]  # generic for the checker only
    """Creates a user."""

    class Meta:
        model = User
        fields = ("username", "email", "fullname")
        labels = _LABELS
        help_texts = _HELP_TEXTS


class UserEditForm(NormalizedNames, forms.ModelForm):  # type: ignore[type-arg]  # generic for the checker only
    """Edits a user. Unlike Django's form, it shows no part of the password hash.

    The form submits the initial value of each field along with the new one, so that `changed_data` contains only
    what the administrator changed. Saving it does not revert what was changed elsewhere since the page was opened.
    """

    language = forms.ChoiceField(
        choices=lambda: [("", _("Default")), *((code, code) for code in languages.supported())],
        required=False,
        label=_("Language"),
        help_text=_("The language of emails to the user."),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # A form that this page did not render, for example one sent by a script, has no initial values: its fields
        # are compared with the stored values instead.
        shows_initial = not self.is_bound or "initial-username" in self.data
        for field in self.fields.values():
            field.show_hidden_initial = shows_initial
        permissions: Any = self.fields.get("user_permissions")
        if permissions is not None:
            # The label of a permission contains its content type, which would be a query each.
            permissions.queryset = permissions.queryset.select_related("content_type")

    def _get_validation_exclusions(self) -> set[str]:
        """Validate only the names that changed: an account may be older than a rule, and stays editable."""
        exclusions: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]  # not in the type stubs
        return exclusions | (NAMES - set(self.changed_data))

    class Meta:
        model = User
        fields = (
            "username",
            "email",
            "fullname",
            "language",
            "is_active",
            "roles",
            "is_staff",
            "is_superuser",
            "groups",
            "user_permissions",
        )
        labels = _LABELS
        help_texts = _HELP_TEXTS
        # Django's widget for many choices has elements that a screen reader cannot read, and does not fit a phone.
        widgets: ClassVar = dict.fromkeys(("roles", "groups", "user_permissions"), forms.CheckboxSelectMultiple)


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]  # generic for the checker only
    """Sets a user's password, which ends the user's sessions."""

    def __init__(self, *args: Any, request: HttpRequest, **options: Any) -> None:
        self.request = request
        super().__init__(*args, **options)

    def save(self, commit: bool = True) -> User:  # noqa: FBT001, FBT002  Django's signature
        """Store the new password, or remove the password if password-based sign-in was disabled."""
        is_usable = self.cleaned_data.get("set_usable_password", True)
        password = self.cleaned_data["password1"] if is_usable else None
        client = Client.from_environ(self.request.META)
        user: User = self.user
        passwords.set_password(user, password, client, by=self.request.user.pk)
        return user
