"""The forms for users in the admin."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AdminPasswordChangeForm, AdminUserCreationForm
from django.http import HttpRequest

from accounts.models import User
from accounts.users import passwords
from accounts.values.clients import Client
from accounts.values.identifiers import normalize


class NormalizedNames:
    """Brings names into the form that is stored before the model's rules are held against them."""

    cleaned_data: dict[str, Any]

    def clean_username(self) -> str:
        """Return the username as it is stored; the model knows whether somebody has it."""
        return normalize(self.cleaned_data["username"])

    def clean_email(self) -> str:
        """Return the e-mail address as it is stored."""
        return normalize(self.cleaned_data["email"])


class UserAddForm(NormalizedNames, AdminUserCreationForm):  # type: ignore[type-arg]  # generic for the checker only
    """Makes a user."""

    class Meta:
        model = User
        fields = ("username", "email", "fullname")


class UserEditForm(NormalizedNames, forms.ModelForm):  # type: ignore[type-arg]  # generic for the checker only
    """Edits what an administrator may; of the password, not even the beginning of its hash is shown.

    The form carries what it showed, so that a change is what the administrator changed: what somebody else,
    or a command, has changed since the page was opened stays.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Who sends the form without having opened the page means what it says.
        shows_initial = not self.is_bound or "initial-username" in self.data
        for field in self.fields.values():
            field.show_hidden_initial = shows_initial

    class Meta:
        model = User
        fields = (
            "username",
            "email",
            "fullname",
            "is_active",
            "roles",
            "is_staff",
            "is_superuser",
            "groups",
            "user_permissions",
        )


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]  # generic for the checker only
    """Sets a password the way that ends the user's sessions."""

    def __init__(self, *args: Any, request: HttpRequest, **options: Any) -> None:
        self.request = request
        super().__init__(*args, **options)

    def save(self, commit: bool = True) -> User:  # noqa: FBT001, FBT002  Django's signature
        """Store it, or take the password away where that was chosen."""
        is_usable = self.cleaned_data.get("set_usable_password", True)
        password = self.cleaned_data["password1"] if is_usable else None
        client = Client.from_environ(self.request.META)
        user: User = self.user
        passwords.set_password(user, password, client, by=self.request.user.pk)
        return user
