"""The shapes of what is read: bodies and queries. The rules are in `accounts`."""

from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from accounts.identifiers import EMAIL_LENGTH


class Text(serializers.CharField):
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


class Texts(serializers.ListField):
    """A list of texts: in a form, one field of the same name for each."""

    child = Text(max_length=40)

    def get_value(self, dictionary: Any) -> Any:
        """Find the list; the indexed names that the framework reads as well are none of ours."""
        if not hasattr(dictionary, "getlist"):
            return super().get_value(dictionary)
        return dictionary.getlist(self.field_name) if self.field_name in dictionary else empty


class SignUpInput(serializers.Serializer[Any]):
    """What a sign-up sends."""

    username = Text()
    email = Text()
    password = Text(write_only=True)
    fullname = Text(required=False, allow_null=True)
    roles = Texts(required=False, allow_null=True, max_length=20)


class SignInInput(serializers.Serializer[Any]):
    """What a sign-in sends: a username or an e-mail address, and the password."""

    username = Text()
    password = Text(write_only=True)
    audience = Text(required=False, allow_null=True)
    useCookies = serializers.BooleanField(required=False, allow_null=True)  # noqa: N815  the wire's spelling


class RefreshTokenInput(serializers.Serializer[Any]):
    """What a sign-out sends."""

    refreshToken = Text(required=False, allow_null=True, write_only=True)  # noqa: N815


class RefreshInput(RefreshTokenInput):
    """What a refresh sends."""

    audience = Text(required=False, allow_null=True)


class ProfileInput(serializers.Serializer[Any]):
    """What of a profile its owner may change. Whatever else stands there is not looked at."""

    username = Text(required=False, allow_null=True)
    email = Text(required=False, allow_null=True)
    fullname = Text(required=False, allow_null=True)


class PasswordInput(serializers.Serializer[Any]):
    """What a step-up sends."""

    password = Text(write_only=True)


class PasswordChangeInput(serializers.Serializer[Any]):
    """What a change of password sends."""

    currentPassword = Text(write_only=True)  # noqa: N815
    newPassword = Text(write_only=True)  # noqa: N815


class PasswordResetConfirmInput(serializers.Serializer[Any]):
    """What a reset by mail sends in the end."""

    token = Text(write_only=True)
    newPassword = Text(write_only=True)  # noqa: N815


class EmailInput(serializers.Serializer[Any]):
    """What asks for a mail, to reset a password or to verify an address."""

    email = serializers.EmailField(max_length=EMAIL_LENGTH)


class MailTokenInput(serializers.Serializer[Any]):
    """What verifies an e-mail address."""

    token = Text(write_only=True)


class TokenInput(serializers.Serializer[Any]):
    """What a service asks about, and may prove itself with (RFC 7662 section 2.1, RFC 6749 section 2.3.1)."""

    token = Text(write_only=True)
    token_type_hint = Text(required=False)
    client_id = Text(required=False)
    client_secret = Text(required=False, write_only=True)


class SessionsQuery(serializers.Serializer[Any]):
    """Where a page of sessions begins."""

    before = serializers.UUIDField(required=False)


class ActivityQuery(serializers.Serializer[Any]):
    """Where a page of the history begins."""

    before = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
