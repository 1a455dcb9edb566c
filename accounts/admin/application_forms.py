"""The forms of applications in the admin, and the fields that applications and services share."""

from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.conf import auth_settings
from accounts.models import Application
from accounts.sso import addresses


class AddressesField(forms.Field):
    """A list of redirect addresses, one a line."""

    widget = forms.Textarea(attrs={"rows": 3, "cols": 60, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """Return the text of the field for a list of addresses."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: str | None) -> list[str]:
        """Return the addresses, without blank lines and repetitions."""
        return addresses.parse_lines(value or "")

    def validate(self, value: list[str]) -> None:
        """Raise ValidationError with a sentence for each address that is not allowed."""
        super().validate(value)
        addresses.validate_redirect_uris(value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return whether the text has other addresses than the stored list."""
        return (initial or []) != self.to_python(data)


class NamesField(forms.MultipleChoiceField):
    """A selection of names, stored as a list. Stored names that are no choices any more stay selectable."""

    widget = forms.CheckboxSelectMultiple

    def offer(self, names: tuple[str, ...], stored: list[str]) -> None:
        """Set the choices."""
        self.choices = [(name, name) for name in dict.fromkeys((*names, *stored))]


class ApplicationEditForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the checker only
    """Changes an application. Its client id is in tokens and its kind decides about secrets, so that both stay."""

    redirect_uris = AddressesField(
        label=_("Redirect addresses"),
        help_text=_(
            "One a line, compared exactly. Use https, or http on localhost, 127.0.0.1 or [::1], where the sign-in "
            "accepts any port of an IP address. No fragment, no user name and no *."
        ),
    )
    post_logout_redirect_uris = AddressesField(
        required=False,
        label=_("Addresses after sign-out"),
        help_text=_("One a line, under the same rules. Where users may return to after they signed out."),
    )
    audiences = NamesField(
        required=False,
        label=_("Audiences"),
        help_text=_("The services that accept the access tokens of the application. Select none for all."),
    )

    class Meta:
        model = Application
        fields = ("name", "redirect_uris", "post_logout_redirect_uris", "backchannel_logout_uri", "audiences")
        labels: ClassVar = {"name": _("Name"), "backchannel_logout_uri": _("Back-channel logout address")}
        help_texts: ClassVar = {
            "name": _("The name that users see when they sign in."),
            "backchannel_logout_uri": _(
                "Where this service reports ended sessions. Use https, or http on localhost, 127.0.0.1 or [::1]."
            ),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["audiences"].offer(auth_settings().audience, self.instance.audiences)  # type: ignore[attr-defined]

    def clean_backchannel_logout_uri(self) -> str:
        """Return the address.

        Raises ValidationError if it is not allowed.
        """
        address: str = self.cleaned_data["backchannel_logout_uri"]
        if address:
            addresses.validate_backchannel_uri(address)
        return address


class ApplicationAddForm(ApplicationEditForm):
    """Registers an application."""

    class Meta(ApplicationEditForm.Meta):
        fields = ("name", "client_id", "is_confidential", *ApplicationEditForm.Meta.fields[1:])  # type: ignore[assignment]
        labels: ClassVar = {
            **ApplicationEditForm.Meta.labels,
            "client_id": _("Client ID"),
            "is_confidential": _("Confidential"),
        }
        help_texts: ClassVar = {
            **ApplicationEditForm.Meta.help_texts,
            "client_id": _("The ID that the application names at a sign-in, as in shop. It cannot be changed."),
            "is_confidential": _(
                "Select this for an application on a server, which can keep a secret. It is shown once, after you "
                "save. Pages and apps cannot keep one. This cannot be changed."
            ),
        }
