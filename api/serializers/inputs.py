"""The fields of request bodies and query strings.

Only type and format are checked here; the rules are in `accounts`. In a body, null for an optional field means
that it is left out.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from accounts.conf import auth_settings
from accounts.values.identifiers import EMAIL_LENGTH, normalize_email, validate_email_address
from api.openapi.schema import with_example

REFRESH_TOKEN = "authrt_AZZ7Xo1BdGWCOJxV0nuqrwAAAADv8p0…"  # noqa: S105  truncated examples
MAIL_TOKEN = "Mq3yq0v8mA7bW…"  # noqa: S105
ACCESS_TOKEN = "eyJhbGciOiJFUzI1NiIsImtpZCI6Ij…"  # noqa: S105
USERNAME = "Letters and digits of any script, and `. _ - +`; at most 150 characters."
SECRET = "yG1zQ0r7…"  # noqa: S105


class _SurrogateValidator(ProhibitSurrogateCharactersValidator):
    """REST framework's validator, which loops over the characters. ASCII text, such as a token, needs no loop."""

    def __call__(self, value: str) -> None:
        """Raise ValidationError if the text contains a surrogate."""
        if not value.isascii():
            super().__call__(value)


class StringField(serializers.CharField):
    """A string, unchanged: blanks are not trimmed, and numbers are not converted."""

    default_error_messages = {"not_text": "This must be a string."}

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, "allow_blank": True, **options})
        self.validators = [
            _SurrogateValidator() if type(validator) is ProhibitSurrogateCharactersValidator else validator
            for validator in self.validators
        ]

    def to_internal_value(self, data: Any) -> str:
        """Return the string.

        Raises ValidationError.
        """
        if not isinstance(data, str):
            self.fail("not_text")
        return data


class NormalizedEmailField(serializers.EmailField):
    """An email address in any form that sign-up accepts."""

    def to_internal_value(self, data: Any) -> str:
        """Return the normalized address.

        Raises ValidationError.
        """
        return super().to_internal_value(normalize_email(data) if isinstance(data, str) else data)


class ChosenUsernameField(StringField):
    """A username, which may be left out or null unless AUTH_USERNAME_REQUIRED is on."""

    @property
    def required(self) -> bool:
        """Whether a body without the field is invalid. Read from the settings on every use."""
        return auth_settings().username_required

    @required.setter
    def required(self, value: bool) -> None:
        """Ignore the value that REST framework's constructor sets."""

    @property
    def allow_null(self) -> bool:
        """Whether null is valid: it means the same as leaving the field out."""
        return not self.required

    @allow_null.setter
    def allow_null(self, value: bool) -> None:
        """Ignore the value that REST framework's constructor sets."""


class InvitedEmailField(StringField):
    """An email address, which may be left out of a body that contains an invitation, or null there.

    OpenAPI calls it optional: whether a body needs it depends on another field.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, **options})

    def get_value(self, dictionary: Any) -> Any:
        """Return the raw value, or an empty string if the invitation determines the address."""
        value = super().get_value(dictionary)
        return "" if value in (empty, None) and dictionary.get("invitation") else value

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        """Return whether `data` needs no further validation, and `data`.

        Raises ValidationError if there is neither an address nor an invitation.
        """
        if data in (empty, None):
            self.fail("required")
        return False, data


class NewPasswordField(StringField):
    """A new password."""


class AudienceField(StringField):
    """The service that an access token is for, one of AUTH_AUDIENCE."""


class LanguageField(StringField):
    """The language of emails, one of those that have translations."""


class StrictBooleanField(serializers.BooleanField):
    """A boolean: in JSON, only true and false; in a form, the usual words."""

    form_values: ClassVar[Mapping[Any, bool | None]] = {
        **dict.fromkeys(serializers.BooleanField.NULL_VALUES),
        **dict.fromkeys(serializers.BooleanField.TRUE_VALUES, True),
        **dict.fromkeys(serializers.BooleanField.FALSE_VALUES, False),
    }

    def get_value(self, dictionary: Any) -> Any:
        """Return the raw value; in a form, converted from words."""
        value = super().get_value(dictionary)
        return self.form_values.get(value, value) if hasattr(dictionary, "getlist") else value

    def to_internal_value(self, data: Any) -> bool:
        """Return the boolean.

        Raises ValidationError.
        """
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StringListField(serializers.ListField):
    """A list of strings: in a form, a repeated field."""

    child = StringField(max_length=40)

    def get_value(self, dictionary: Any) -> Any:
        """Return the raw list. Indexed names (`roles[0]`), which REST framework supports in forms, are ignored."""
        if not hasattr(dictionary, "getlist"):
            return super().get_value(dictionary)
        return dictionary.getlist(self.field_name) if self.field_name in dictionary else empty


@with_example(username="alice", email="alice@example.com", password="correct horse", fullname="Alice A.")  # noqa: S106
class SignUpInput(serializers.Serializer[Any]):
    """The body of a sign-up."""

    username = ChosenUsernameField(help_text=f"{USERNAME} Optional with `AUTH_USERNAME_REQUIRED=false`.")
    email = InvitedEmailField(
        help_text="Required without `invitation`. With it, the invited address, which may be left out."
    )
    password = NewPasswordField(write_only=True)
    fullname = StringField(required=False, allow_null=True)
    roles = StringListField(required=False, allow_null=True, max_length=20)
    language = LanguageField(
        required=False,
        allow_null=True,
        allow_blank=False,
        help_text="The language of emails. Without it, the best match of `Accept-Language`, or LANGUAGE_CODE.",
    )
    invitation = StringField(
        required=False, allow_null=True, write_only=True, help_text="The token of an emailed invitation."
    )


@with_example(username="alice", password="correct horse")  # noqa: S106
class SignInInput(serializers.Serializer[Any]):
    """The body of a sign-in. `username` is a username or an email address.

    With `remember: false`, the session is shorter, and cookies last until the browser is closed.
    """

    username = StringField()
    password = StringField(write_only=True)
    audience = AudienceField(required=False, allow_null=True)
    useCookies = StrictBooleanField(required=False, allow_null=True)  # noqa: N815  the API's field names are camelCase
    remember = StrictBooleanField(required=False, allow_null=True)


@with_example(refreshToken=REFRESH_TOKEN)
class RefreshTokenInput(serializers.Serializer[Any]):
    """The body of a sign-out."""

    refreshToken = StringField(required=False, allow_null=True, write_only=True)  # noqa: N815


@with_example(refreshToken=REFRESH_TOKEN)
class RefreshInput(RefreshTokenInput):
    """The body of a refresh."""

    audience = AudienceField(required=False, allow_null=True)


@with_example(fullname="Alice B.")
class ProfileInput(serializers.Serializer[Any]):
    """The profile fields that their owner may change. Other fields are ignored."""

    username = StringField(required=False, allow_null=True, help_text=USERNAME)
    email = StringField(required=False, allow_null=True)
    fullname = StringField(required=False, allow_null=True)
    language = LanguageField(
        required=False, allow_null=True, allow_blank=False, help_text="The language of emails."
    )


@with_example(password="correct horse")  # noqa: S106
class PasswordInput(serializers.Serializer[Any]):
    """The body of a step-up."""

    password = StringField(write_only=True)


@with_example(currentPassword="correct horse", newPassword="battery staple")
class PasswordChangeInput(serializers.Serializer[Any]):
    """The body of a password change."""

    currentPassword = StringField(write_only=True)  # noqa: N815
    newPassword = NewPasswordField(write_only=True)  # noqa: N815


@with_example(token=MAIL_TOKEN, newPassword="battery staple")
class PasswordResetConfirmInput(serializers.Serializer[Any]):
    """The body that completes a password reset."""

    token = StringField(write_only=True)
    newPassword = NewPasswordField(write_only=True)  # noqa: N815


@with_example(email="alice@example.com")
class EmailInput(serializers.Serializer[Any]):
    """The body of a request for an email: a password reset or a verification link."""

    email = NormalizedEmailField(max_length=EMAIL_LENGTH, validators=[validate_email_address])


@with_example(token=MAIL_TOKEN)
class MailTokenInput(serializers.Serializer[Any]):
    """The body that verifies an email address."""

    token = StringField(write_only=True)


@with_example(token=ACCESS_TOKEN, client_id="orders", client_secret=SECRET)
class TokenInput(serializers.Serializer[Any]):
    """The body of introspection and revocation (RFC 7662 section 2.1), with optional client credentials.

    The credentials follow RFC 6749 section 2.3.1.
    """

    token = StringField(write_only=True)
    token_type_hint = StringField(required=False, allow_null=True)
    client_id = StringField(required=False, allow_null=True)
    client_secret = StringField(required=False, allow_null=True, write_only=True)


class SessionsQuery(serializers.Serializer[Any]):
    """The query string of a page of sessions."""

    before = serializers.UUIDField(required=False)


class ActivityQuery(serializers.Serializer[Any]):
    """The query string of a page of the history."""

    before = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
