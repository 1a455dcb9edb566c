"""The shapes of what is answered, and how it is spelled on the wire."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from rest_framework import serializers

from accounts import devices, events
from accounts.access_tokens import AccessToken
from accounts.models import Activity, RefreshToken, User
from accounts.sessions import TokenPair


class ProfileOutput(serializers.Serializer[Any]):
    """How a user is shown."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.EmailField()
    fullname = serializers.CharField(allow_blank=True)
    roles = serializers.ListField(child=serializers.CharField())


class OwnProfileOutput(ProfileOutput):
    """How a user is shown to itself."""

    emailVerified = serializers.BooleanField()  # noqa: N815
    createdAt = serializers.DateTimeField()  # noqa: N815


class SignUpOutput(ProfileOutput):
    """What a sign-up is answered."""

    message = serializers.CharField()


class AccessTokenOutput(serializers.Serializer[Any]):
    """An access token, which is not there where it comes as a cookie; the span is in seconds."""

    accessToken = serializers.CharField(required=False)  # noqa: N815
    tokenType = serializers.CharField()  # noqa: N815
    expiresIn = serializers.IntegerField()  # noqa: N815


class TokensOutput(AccessTokenOutput):
    """A token pair, as an access token; the span is in seconds."""

    refreshToken = serializers.CharField(required=False)  # noqa: N815
    refreshExpiresIn = serializers.IntegerField()  # noqa: N815


class SignInOutput(ProfileOutput, TokensOutput):
    """What a sign-in is answered."""


class OriginOutput(serializers.Serializer[Any]):
    """Where something came from, as far as that is known."""

    ipAddress = serializers.IPAddressField(allow_null=True)  # noqa: N815
    device = serializers.CharField()
    userAgent = serializers.CharField(allow_blank=True)  # noqa: N815


class SessionOutput(OriginOutput):
    """How a session is shown to its owner; `current` tells which one asks."""

    id = serializers.UUIDField()
    createdAt = serializers.DateTimeField()  # noqa: N815
    lastUsedAt = serializers.DateTimeField()  # noqa: N815
    expiresAt = serializers.DateTimeField()  # noqa: N815
    current = serializers.BooleanField()


class ActivityOutput(OriginOutput):
    """How a thing that happened to an account is shown to its owner."""

    id = serializers.IntegerField()
    createdAt = serializers.DateTimeField()  # noqa: N815
    event = serializers.CharField()
    description = serializers.CharField()
    sessionId = serializers.UUIDField(allow_null=True)  # noqa: N815
    byAdministrator = serializers.BooleanField()  # noqa: N815
    details = serializers.DictField()


class IntrospectionOutput(serializers.Serializer[Any]):
    """What a service is told of a token (RFC 7662 section 2.2): of one that is not good only that."""

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


def own_profile(user: User) -> dict[str, Any]:
    """Spell a user as `OwnProfileOutput`."""
    return {**profile(user), "emailVerified": user.is_email_verified, "createdAt": user.created_at}


def access_token(access: AccessToken) -> dict[str, Any]:
    """Spell an access token as `AccessTokenOutput`."""
    return {"accessToken": access.text, "tokenType": "Bearer", "expiresIn": access.expires_in}


def tokens(pair: TokenPair) -> dict[str, Any]:
    """Spell a token pair as `TokensOutput`."""
    return {
        **access_token(pair.access),
        "refreshToken": pair.refresh_token,
        "refreshExpiresIn": pair.refresh_expires_in,
    }


def without_tokens(spelled: dict[str, Any]) -> dict[str, Any]:
    """Leave out what goes into cookies."""
    return {name: value for name, value in spelled.items() if name not in {"accessToken", "refreshToken"}}


def session(row: RefreshToken, current: UUID) -> dict[str, Any]:
    """Spell a session as `SessionOutput`."""
    return {
        "id": row.pk,
        "createdAt": row.created_at,
        "lastUsedAt": row.last_used_at,
        "expiresAt": row.expires_at,
        "ipAddress": row.address,
        "device": devices.name_of(row.user_agent),
        "userAgent": row.user_agent,
        "current": row.pk == current,
    }


def activity(entry: Activity) -> dict[str, Any]:
    """Spell a thing that happened as `ActivityOutput`; where an administrator sat is not told."""
    is_told = not entry.is_by_administrator
    return {
        "id": entry.pk,
        "createdAt": entry.at,
        "event": entry.event,
        "description": events.describe(entry),
        "sessionId": entry.session_id,
        "ipAddress": entry.address if is_told else None,
        "device": devices.name_of(entry.user_agent) if is_told else "",
        "userAgent": entry.user_agent if is_told else "",
        "byAdministrator": entry.is_by_administrator,
        "details": entry.details,
    }


def spell_roles(names: Sequence[str]) -> list[str]:
    """Spell roles as the front ends know them: ROLE_USER."""
    return [f"ROLE_{name.upper()}" for name in names]
