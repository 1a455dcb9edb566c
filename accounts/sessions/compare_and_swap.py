"""The one statement that a refresh is: a compare-and-swap, which returns what the next access token says.

It is written out, for Django's own UPDATE returns nothing and is put together anew each time: a SELECT before it
and the work on both took two thirds of a refresh.
"""

from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.conf import auth_settings
from accounts.fields import RoleNames
from accounts.models import split_role_names
from accounts.tokens.access_tokens import Grant
from accounts.tokens.refresh_tokens import RefreshSecret

_SWAP = """
    UPDATE accounts_refreshtoken SET {changes}
    WHERE uuid = %(session_id)s AND secret_digest = %(digest)s AND generation = %(presented_generation)s
      AND ended_at IS NULL AND expires_at > %(now)s
      AND owner_stamp = (SELECT security_stamp FROM accounts_user WHERE id = owner_id AND is_active)
    RETURNING owner_id, authenticated_at, expires_at, {names}, {columns}
"""
_USE = "last_used_at = %(now)s"
_MOVE_ON = """
    last_used_at = %(now)s, rotated_at = %(now)s, secret_digest = %(next_digest)s, generation = %(generation)s,
    expires_at = CASE WHEN session_expires_at < %(expires_at)s THEN session_expires_at ELSE %(expires_at)s END
"""


def touch(presented: RefreshSecret, now: datetime) -> Grant | None:
    """Note that a session is used; None if what was presented is not its current secret, or it is over."""
    return _run(_USE, presented, now, {})


def advance(
    presented: RefreshSecret, successor: RefreshSecret, now: datetime, *, expires_at: datetime
) -> Grant | None:
    """Move a session on to its next secret, good until `expires_at` or the session's end; None as above."""
    values = {
        "next_digest": successor.digest,
        "generation": successor.generation,
        "expires_at": _to_database(expires_at),
    }
    return _run(_MOVE_ON, presented, now, values)


def _run(changes: str, presented: RefreshSecret, now: datetime, values: dict[str, Any]) -> Grant | None:
    profile = auth_settings().profile_claims
    given = {
        "session_id": _identifier(presented.session_id),
        "digest": presented.digest,
        "presented_generation": presented.generation,
        "now": _to_database(now),
        **values,
    }
    with connection.cursor() as cursor:
        cursor.execute(_statement(connection.vendor, changes, profile), given)
        rows = cursor.fetchall()  # to the end: SQLite commits there
    if not rows:
        return None
    owner_id, authenticated_at, expires_at, names, token_version, *texts = rows[0]
    return Grant(
        session_id=presented.session_id,
        owner_id=owner_id,
        token_version=token_version,
        roles=split_role_names(names),
        authenticated_at=_moment(authenticated_at),
        expires_at=_moment(expires_at),
        profile=dict(zip(profile, texts, strict=True)),
    )


@cache
def _statement(vendor: str, changes: str, profile: tuple[str, ...]) -> str:
    of_owner = [f"(SELECT {name} FROM accounts_user WHERE id = owner_id)" for name in ("token_version", *profile)]  # noqa: S608  the names are ours
    return _SWAP.format(changes=changes, names=RoleNames.sql(vendor, "owner_id"), columns=", ".join(of_owner))


def _identifier(value: UUID) -> UUID | str:
    return value if connection.features.has_native_uuid_field else value.hex


def _to_database(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)


def _moment(value: datetime) -> datetime:
    """Read a time as the database gives it: with its zone, or, from SQLite, in UTC and without."""
    return value if value.tzinfo else value.replace(tzinfo=UTC)
