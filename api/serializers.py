"""The shapes of bodies: what is read, and how it is spelled on the wire. The rules are in `accounts`."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from accounts.models import User
from accounts.sessions import TokenPair


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


class RefreshInput(serializers.Serializer[Any]):
    """What a refresh or a sign-out sends."""

    refreshToken = Text(required=False, allow_null=True, write_only=True)  # noqa: N815  the wire's spelling


class ProfileOutput(serializers.Serializer[Any]):
    """How a user is shown."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.EmailField()
    fullname = serializers.CharField(allow_blank=True)
    roles = serializers.ListField(child=serializers.CharField())


class SignUpOutput(ProfileOutput):
    """What a sign-up is answered."""

    message = serializers.CharField()


class TokensOutput(serializers.Serializer[Any]):
    """A token pair; both spans are in seconds."""

    accessToken = serializers.CharField()  # noqa: N815
    refreshToken = serializers.CharField()  # noqa: N815
    tokenType = serializers.CharField()  # noqa: N815
    expiresIn = serializers.IntegerField()  # noqa: N815
    refreshExpiresIn = serializers.IntegerField()  # noqa: N815


class SignInOutput(ProfileOutput, TokensOutput):
    """What a sign-in is answered."""


class ErrorOutput(serializers.Serializer[Any]):
    """How every refusal looks."""

    message = serializers.CharField()
    code = serializers.CharField()
    errors = serializers.DictField(  # type: ignore[assignment]  # the wire's name is also the framework's
        child=serializers.ListField(child=serializers.CharField()), required=False
    )


def profile(user: User) -> dict[str, Any]:
    """Spell a user as `ProfileOutput`."""
    return {
        "id": user.pk,
        "username": user.username,
        "email": user.email,
        "fullname": user.fullname,
        "roles": spell_roles(user.role_names),
    }


def tokens(pair: TokenPair) -> dict[str, Any]:
    """Spell a token pair as `TokensOutput`."""
    return {
        "accessToken": pair.access.text,
        "refreshToken": pair.refresh_token,
        "tokenType": "Bearer",
        "expiresIn": pair.access.expires_in,
        "refreshExpiresIn": pair.refresh_expires_in,
    }


def spell_roles(names: Sequence[str]) -> list[str]:
    """Spell roles as the front ends know them: ROLE_USER."""
    return [f"ROLE_{name.upper()}" for name in names]
