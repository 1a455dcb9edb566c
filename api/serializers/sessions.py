"""The fields of sessions and history entries in responses, and functions that serialize them."""

from typing import Any
from uuid import UUID

from rest_framework import serializers

from accounts.history import events
from accounts.models import Activity, RefreshToken, SessionKind
from accounts.models.applications import FIRST_PARTY
from accounts.values import devices
from api.openapi.schema import with_example
from api.serializers.outputs import LEVEL_NAMES, MOMENT, SESSION_ID, time_field

_ORIGIN = {"ipAddress": "192.0.2.1", "device": "Firefox on Linux", "userAgent": "Mozilla/5.0 …"}


class OriginOutput(serializers.Serializer[Any]):
    """Where a request came from, as far as known."""

    ipAddress = serializers.IPAddressField(allow_null=True)  # noqa: N815
    device = serializers.CharField()
    userAgent = serializers.CharField(allow_blank=True)  # noqa: N815


@with_example(
    **_ORIGIN,
    id=SESSION_ID,
    createdAt=MOMENT,
    lastUsedAt=MOMENT,
    expiresAt=MOMENT,
    remember=True,
    acr="1",
    current=True,
    kind=SessionKind.TOKENS,
    clientId="shop",
    applicationName="Shop",
)
class SessionOutput(OriginOutput):
    """A session. `acr` is "2" if the user presented a second factor. The requesting session is `current`.

    `kind` is `browser` for a browser that is signed in at this service's pages: its end also ends the sessions of
    applications that came of it. `clientId` is `first-party` for this service's own endpoints and pages.
    """

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(SessionKind.values)
    clientId = serializers.CharField()  # noqa: N815
    applicationName = serializers.CharField(allow_null=True)  # noqa: N815
    createdAt = time_field()  # noqa: N815
    lastUsedAt = time_field()  # noqa: N815
    expiresAt = time_field()  # noqa: N815
    remember = serializers.BooleanField()
    acr = serializers.ChoiceField(LEVEL_NAMES)
    current = serializers.BooleanField()


@with_example(
    **_ORIGIN,
    id=7,
    createdAt=MOMENT,
    event=events.Event.SIGN_IN_SUCCEEDED,
    description=events.DESCRIPTIONS[events.Event.SIGN_IN_SUCCEEDED],
    sessionId=SESSION_ID,
    byAdministrator=False,
    details={},
)
class ActivityOutput(OriginOutput):
    """An entry of the security history."""

    id = serializers.IntegerField()
    createdAt = time_field()  # noqa: N815
    event = serializers.CharField()
    description = serializers.CharField()
    sessionId = serializers.UUIDField(allow_null=True)  # noqa: N815
    byAdministrator = serializers.BooleanField()  # noqa: N815
    details = serializers.DictField()


def session(row: RefreshToken, current: UUID) -> dict[str, Any]:
    """Serialize a session, which was fetched with its application, as `SessionOutput`."""
    return {
        "id": row.pk,
        "kind": row.kind,
        "clientId": row.application_id or FIRST_PARTY,
        "applicationName": row.application.name if row.application else None,
        "createdAt": row.created_at,
        "lastUsedAt": row.last_used_at,
        "expiresAt": row.expires_at,
        "remember": row.remember,
        "acr": str(row.authentication.level),
        "ipAddress": row.address,
        "device": devices.describe(row.user_agent),
        "userAgent": row.user_agent,
        "current": row.pk == current,
    }


def activity(entry: Activity) -> dict[str, Any]:
    """Serialize a history entry as `ActivityOutput`, without an administrator's address and device."""
    is_shown = not entry.is_by_administrator
    return {
        "id": entry.pk,
        "createdAt": entry.at,
        "event": entry.event,
        "description": events.describe(entry),
        "sessionId": entry.session_id,
        "ipAddress": entry.address if is_shown else None,
        "device": devices.describe(entry.user_agent) if is_shown else "",
        "userAgent": entry.user_agent if is_shown else "",
        "byAdministrator": entry.is_by_administrator,
        "details": entry.details,
    }
