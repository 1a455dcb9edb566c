"""The shapes of what is read: bodies and queries. The rules are in `accounts`."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.fields import empty

from accounts.values.identifiers import EMAIL_LENGTH, normalize
from api.openapi.schema import with_example

REFRESH_TOKEN = "authrt_AZZ7Xo1BdGWCOJxV0nuqrwAAAADv8p0…"  # noqa: S105  examples, and cut short
MAIL_TOKEN = "Mq3yq0v8mA7bW…"  # noqa: S105
ACCESS_TOKEN = "eyJhbGciOiJFUzI1NiIsImtpZCI6Ij…"  # noqa: S105
USERNAME = "Letters and digits of any script, and `. _ - +`; at most 150 characters."
SECRET = "yG1zQ0r7…"  # noqa: S105


class StringField(serializers.CharField):
    """A JSON string, as it is: not trimmed, and no number that is taken for one."""

    default_error_messages = {"not_text": "This must be a text."}

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, "allow_blank": True, **options})

    def to_internal_value(self, data: Any) -> str:
        """Return the text.

        Raises ValidationError.
        """
        if not isinstance(data, str):
            self.fail("not_text")
        return data


class NormalizedEmailField(serializers.EmailField):
    """An e-mail address, in whatever spelling a sign-up takes it."""

    def to_internal_value(self, data: Any) -> str:
        """Return it in the spelling that is stored.

        Raises ValidationError.
        """
        return super().to_internal_value(normalize(data) if isinstance(data, str) else data)


class NewPasswordField(StringField):
    """A password that is chosen."""


class AudienceField(StringField):
    """The service that an access token is for."""


class StrictBooleanField(serializers.BooleanField):
    """True or false: in JSON nothing else that might mean it, in a form the usual words for it."""

    form_values: ClassVar[Mapping[Any, bool | None]] = {
        **dict.fromkeys(serializers.BooleanField.NULL_VALUES),
        **dict.fromkeys(serializers.BooleanField.TRUE_VALUES, True),
        **dict.fromkeys(serializers.BooleanField.FALSE_VALUES, False),
    }

    def get_value(self, dictionary: Any) -> Any:
        """Find it; in a form, by its words."""
        value = super().get_value(dictionary)
        return self.form_values.get(value, value) if hasattr(dictionary, "getlist") else value

    def to_internal_value(self, data: Any) -> bool:
        """Return which one.

        Raises ValidationError.
        """
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StringListField(serializers.ListField):
    """A list of texts: in a form, one field of the same name for each."""

    child = StringField(max_length=40)

    def get_value(self, dictionary: Any) -> Any:
        """Find the list; the indexed names that the framework reads as well are none of ours."""
        if not hasattr(dictionary, "getlist"):
            return super().get_value(dictionary)
        return dictionary.getlist(self.field_name) if self.field_name in dictionary else empty


@with_example(username="alice", email="alice@example.com", password="correct horse", fullname="Alice A.")  # noqa: S106
class SignUpInput(serializers.Serializer[Any]):
    """What a sign-up sends."""

    username = StringField(help_text=USERNAME)
    email = StringField()
    password = NewPasswordField(write_only=True)
    fullname = StringField(required=False, allow_null=True)
    roles = StringListField(required=False, allow_null=True, max_length=20)


@with_example(username="alice", password="correct horse")  # noqa: S106
class SignInInput(serializers.Serializer[Any]):
    """What a sign-in sends: a username or an e-mail address, and the password."""

    username = StringField()
    password = StringField(write_only=True)
    audience = AudienceField(required=False, allow_null=True)
    useCookies = StrictBooleanField(required=False, allow_null=True)  # noqa: N815  the wire's spelling


@with_example(refreshToken=REFRESH_TOKEN)
class RefreshTokenInput(serializers.Serializer[Any]):
    """What a sign-out sends."""

    refreshToken = StringField(required=False, allow_null=True, write_only=True)  # noqa: N815


@with_example(refreshToken=REFRESH_TOKEN)
class RefreshInput(RefreshTokenInput):
    """What a refresh sends."""

    audience = AudienceField(required=False, allow_null=True)


@with_example(fullname="Alice B.")
class ProfileInput(serializers.Serializer[Any]):
    """What of a profile its owner may change. Whatever else stands there is not looked at."""

    username = StringField(required=False, allow_null=True, help_text=USERNAME)
    email = StringField(required=False, allow_null=True)
    fullname = StringField(required=False, allow_null=True)


@with_example(password="correct horse")  # noqa: S106
class PasswordInput(serializers.Serializer[Any]):
    """What a step-up sends."""

    password = StringField(write_only=True)


@with_example(currentPassword="correct horse", newPassword="battery staple")
class PasswordChangeInput(serializers.Serializer[Any]):
    """What a change of password sends."""

    currentPassword = StringField(write_only=True)  # noqa: N815
    newPassword = NewPasswordField(write_only=True)  # noqa: N815


@with_example(token=MAIL_TOKEN, newPassword="battery staple")
class PasswordResetConfirmInput(serializers.Serializer[Any]):
    """What a reset by mail sends in the end."""

    token = StringField(write_only=True)
    newPassword = NewPasswordField(write_only=True)  # noqa: N815


@with_example(email="alice@example.com")
class EmailInput(serializers.Serializer[Any]):
    """What asks for a mail, to reset a password or to verify an address."""

    email = NormalizedEmailField(max_length=EMAIL_LENGTH)


@with_example(token=MAIL_TOKEN)
class MailTokenInput(serializers.Serializer[Any]):
    """What verifies an e-mail address."""

    token = StringField(write_only=True)


@with_example(token=ACCESS_TOKEN, client_id="orders", client_secret=SECRET)
class TokenInput(serializers.Serializer[Any]):
    """What a service asks about, and may prove itself with (RFC 7662 section 2.1, RFC 6749 section 2.3.1)."""

    token = StringField(write_only=True)
    token_type_hint = StringField(required=False)
    client_id = StringField(required=False)
    client_secret = StringField(required=False, write_only=True)


class SessionsQuery(serializers.Serializer[Any]):
    """Where a page of sessions begins."""

    before = serializers.UUIDField(required=False)


class ActivityQuery(serializers.Serializer[Any]):
    """Where a page of the history begins."""

    before = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
