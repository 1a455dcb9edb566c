"""The fields of responses, and functions that serialize domain objects to them."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from rest_framework import ISO_8601, serializers

from accounts.models import User
from accounts.sessions.lifecycle import TokenPair
from accounts.tokens.access_tokens import AccessToken
from accounts.values.authentication import LEVELS
from api.openapi.schema import with_example
from api.serializers.inputs import ACCESS_TOKEN, REFRESH_TOKEN


def time_field(**options: Any) -> serializers.DateTimeField:
    """Return a field that serializes a time as ISO 8601 in UTC, whatever the project's settings say."""
    return serializers.DateTimeField(format=ISO_8601, default_timezone=UTC, **options)


_PROFILE = {
    "id": 1,
    "username": "alice",
    "email": "alice@example.com",
    "fullname": "Alice A.",
    "roles": ["ROLE_USER"],
}
_ACCESS = {"accessToken": ACCESS_TOKEN, "tokenType": "Bearer", "expiresIn": 900}
_TOKENS = {**_ACCESS, "refreshToken": REFRESH_TOKEN, "refreshExpiresIn": 86400}
SESSION_ID = "01a212d6-34b3-76af-95c9-8fd77c375bea"
MOMENT = "2026-01-31T12:00:00Z"
LEVEL_NAMES = [str(level) for level in LEVELS]


class ProfileOutput(serializers.Serializer[Any]):
    """A user."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.EmailField()
    fullname = serializers.CharField(allow_blank=True)
    roles = serializers.ListField(child=serializers.CharField())


@with_example(**_PROFILE, language="en", emailVerified=True, createdAt=MOMENT)
class OwnProfileOutput(ProfileOutput):
    """The signed-in user. `language` is that of emails."""

    language = serializers.CharField()
    emailVerified = serializers.BooleanField()  # noqa: N815
    createdAt = time_field()  # noqa: N815


@with_example(message="User was registered successfully!", **_PROFILE)
class SignUpOutput(ProfileOutput):
    """The response to a sign-up."""

    message = serializers.CharField()


@with_example(**_ACCESS)
class AccessTokenOutput(serializers.Serializer[Any]):
    """An access token and its lifetime in seconds. The token is missing if it is set as a cookie."""

    accessToken = serializers.CharField(required=False)  # noqa: N815
    tokenType = serializers.CharField()  # noqa: N815
    expiresIn = serializers.IntegerField()  # noqa: N815


@with_example(**_TOKENS)
class TokensOutput(AccessTokenOutput):
    """A token pair and the lifetimes in seconds. The tokens are missing if they are set as cookies."""

    refreshToken = serializers.CharField(required=False)  # noqa: N815
    refreshExpiresIn = serializers.IntegerField()  # noqa: N815


@with_example(**_PROFILE, **_TOKENS)
class SignInOutput(ProfileOutput, TokensOutput):
    """The response to a sign-in."""


@with_example(
    active=True,
    iss="https://auth.example.com",
    aud="orders",
    sub="1",
    username="alice",
    client_id="first-party",
    token_type="Bearer",  # noqa: S106
    iat=1769860800,
    nbf=1769860800,
    exp=1769861700,
    jti="kTqv1-CkTmWZ9yyHhBqOJQ",
    sid=SESSION_ID,
    roles=["user"],
    auth_time=1769860800,
    acr="2",
    amr=["pwd", "otp", "mfa"],
)
class IntrospectionOutput(serializers.Serializer[Any]):
    """The response to an introspection (RFC 7662 section 2.2). For an inactive token, only `active`."""

    active = serializers.BooleanField()
    iss = serializers.CharField(required=False)
    aud = serializers.CharField(required=False)
    sub = serializers.CharField(required=False)
    username = serializers.CharField(required=False)
    client_id = serializers.CharField(required=False)
    token_type = serializers.CharField(required=False)
    iat = serializers.IntegerField(required=False)
    nbf = serializers.IntegerField(required=False)
    exp = serializers.IntegerField(required=False)
    jti = serializers.CharField(required=False)
    sid = serializers.CharField(required=False)
    roles = serializers.ListField(child=serializers.CharField(), required=False)
    auth_time = serializers.IntegerField(required=False)
    acr = serializers.ChoiceField(LEVEL_NAMES, required=False)
    amr = serializers.ListField(child=serializers.CharField(), required=False)
    scope = serializers.CharField(required=False)


@with_example(
    keys=[{"kty": "EC", "use": "sig", "alg": "ES256", "kid": "k1", "crv": "P-256", "x": "f83O…", "y": "x_FE…"}]
)
class KeySetOutput(serializers.Serializer[Any]):
    """A JWK set (RFC 7517 section 5)."""

    keys = serializers.ListField(child=serializers.DictField(child=serializers.CharField()))


@with_example(origins=["https://auth.example.com", "https://app.auth.example.com"])
class RelatedOriginsOutput(serializers.Serializer[Any]):
    """The origins that may use the passkeys of this service (WebAuthn Level 3 section 5.11)."""

    origins = serializers.ListField(child=serializers.CharField())


def profile(user: User) -> dict[str, Any]:
    """Serialize a user as `ProfileOutput`."""
    return {
        "id": user.pk,
        "username": user.username,
        "email": user.email,
        "fullname": user.fullname,
        "roles": format_roles(user.role_names),
    }


def own_profile(user: User) -> dict[str, Any]:
    """Serialize a user as `OwnProfileOutput`."""
    return {
        **profile(user),
        "language": user.mail_language,
        "emailVerified": user.is_email_verified,
        "createdAt": user.created_at,
    }


def access_token(access: AccessToken) -> dict[str, Any]:
    """Serialize an access token as `AccessTokenOutput`."""
    return {"accessToken": access.text, "tokenType": "Bearer", "expiresIn": access.expires_in}


def tokens(pair: TokenPair) -> dict[str, Any]:
    """Serialize a token pair as `TokensOutput`."""
    return {
        **access_token(pair.access),
        "refreshToken": pair.refresh_token,
        "refreshExpiresIn": pair.refresh_expires_in,
    }


def without_tokens(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields without the tokens, which are set as cookies."""
    return {name: value for name, value in fields.items() if name not in {"accessToken", "refreshToken"}}


def format_roles(names: Sequence[str]) -> list[str]:
    """Return role names in the form that front ends expect: ROLE_USER."""
    return [f"ROLE_{name.upper()}" for name in names]
