"""Refresh a session with one conditional UPDATE that also returns the claims of the next access token.

The statement is raw SQL because Django's `update()` returns no columns and compiles its SQL on every call. The
ORM would need a SELECT before the UPDATE.
"""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from accounts.databases import adapt, connection_of, fetch_row
from accounts.fields import RoleNames
from accounts.models import RefreshToken, split_role_names
from accounts.tokens.access_tokens import MIN_LIFETIME, Grant, build_profile, profile_columns
from accounts.tokens.refresh_tokens import RefreshSecret
from accounts.values.authentication import Authentication

_UPDATE_IF_CURRENT = """
    UPDATE accounts_refreshtoken SET {changes}
    WHERE uuid = %(session_id)s AND secret_digest = %(digest)s AND generation = %(presented_generation)s
      AND {application}
      AND ended_at IS NULL AND expires_at > %(now)s AND {expiry_column} >= %(min_expiry)s
      AND owner_stamp = (SELECT security_stamp FROM accounts_user WHERE id = owner_id AND is_active)
    RETURNING owner_id, authenticated_at, authentication_methods, expires_at, remember, scope,
      {role_names}, {owner_columns}
"""
_FIRST_PARTY = "application_id IS NULL"
_APPLICATION = "application_id = %(client_id)s"
_MARK_USED = "last_used_at = %(now)s"
_ADVANCE = """
    last_used_at = %(now)s, rotated_at = %(now)s, secret_digest = %(next_digest)s, generation = %(generation)s,
    expires_at = CASE WHEN session_expires_at < %(expires_at)s THEN session_expires_at ELSE %(expires_at)s END
"""


def touch(presented: RefreshSecret, now: datetime, client_id: str | None = None) -> Grant | None:
    """Set the time of last use and return the session's grant, without rotating its refresh token.

    Returns None if the presented secret is not the session's current one, if the session is not that of the
    application `client_id` (None for the service's own endpoints), if it has ended or expired, or if its owner is
    inactive or has changed their password. A session expires MIN_LIFETIME early, because no access
    token can be issued for it any more.
    """
    return _update(_MARK_USED, "expires_at", presented, now, {"client_id": client_id})


def advance(
    presented: RefreshSecret,
    successor: RefreshSecret,
    now: datetime,
    *,
    expires_at: datetime,
    client_id: str | None = None,
) -> Grant | None:
    """Replace a session's current secret with its successor and return the session's grant.

    The new refresh token is valid until `expires_at`, but never beyond the lifetime of the session. Returns None,
    and changes nothing, under the same conditions as `touch`.
    """
    new_values = {
        "next_digest": successor.digest,
        "generation": successor.generation,
        "expires_at": expires_at,
        "client_id": client_id,
    }
    return _update(_ADVANCE, "session_expires_at", presented, now, new_values)


def _update(
    changes: str, expiry_column: str, presented: RefreshSecret, now: datetime, new_values: dict[str, Any]
) -> Grant | None:
    columns = profile_columns()
    parameters = {
        "session_id": presented.session_id,
        "digest": presented.digest,
        "presented_generation": presented.generation,
        "now": now,
        "min_expiry": now + MIN_LIFETIME,
        **new_values,
    }
    connection = connection_of(RefreshToken)
    application = _FIRST_PARTY if new_values["client_id"] is None else _APPLICATION
    statement = _statement(connection.vendor, changes, expiry_column, application, columns)
    row = fetch_row(connection, statement, {name: adapt(connection, value) for name, value in parameters.items()})
    if row is None:
        return None
    (
        owner_id, authenticated_at, methods, expires_at, remember, scope, role_names, token_version,
        *profile_values,
    ) = row  # fmt: skip
    return Grant(
        session_id=presented.session_id,
        owner_id=owner_id,
        token_version=token_version,
        roles=split_role_names(role_names),
        authenticated_at=_aware_datetime(authenticated_at),
        authentication=Authentication.parse(methods),
        expires_at=_aware_datetime(expires_at),
        remember=bool(remember),  # SQLite returns 0 or 1
        profile=build_profile(dict(zip(columns, profile_values, strict=True))),
        client_id=new_values["client_id"],
        scope=scope,
    )


@cache
def _statement(vendor: str, changes: str, expiry_column: str, application: str, profile: tuple[str, ...]) -> str:
    columns = ("token_version", *profile)
    owner_columns = [f"(SELECT {name} FROM accounts_user WHERE id = owner_id)" for name in columns]  # noqa: S608  column names, not input
    return _UPDATE_IF_CURRENT.format(
        changes=changes,
        expiry_column=expiry_column,
        application=application,
        role_names=RoleNames.sql(vendor, "owner_id"),
        owner_columns=", ".join(owner_columns),
    )


def _aware_datetime(value: datetime) -> datetime:
    """Return the value as an aware datetime. SQLite returns naive datetimes in UTC."""
    return value if value.tzinfo else value.replace(tzinfo=UTC)
