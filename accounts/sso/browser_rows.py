"""Read, lock and touch the row of a browser's sign-in, with its owner.

Raw SQL: the ORM builds its SQL on every call, which took most of the time of a sign-in through the hosted pages
outside the password hash.
"""

from datetime import datetime
from functools import cache
from uuid import UUID

from accounts.databases import adapt, columns_of, connection_of
from accounts.fields import RoleNames
from accounts.models import RefreshToken, User

_FIND_SESSION = """
    SELECT {columns}, {role_names} AS fetched_role_names,
        EXISTS (SELECT 1 FROM accounts_authenticator
            WHERE owner_id = accounts_refreshtoken.owner_id AND confirmed_at IS NOT NULL
        ) AS fetched_has_authenticator,
        EXISTS (SELECT 1 FROM accounts_passkey
            WHERE owner_id = accounts_refreshtoken.owner_id) AS fetched_has_passkey
    FROM accounts_refreshtoken WHERE uuid = %(session_id)s AND kind = 'browser' {lock}
"""
_FACTS_ABOUT_OWNER = ("fetched_role_names", "fetched_has_authenticator", "fetched_has_passkey")
_FIND_OWNER = """
    SELECT {columns} FROM accounts_user
    WHERE id = (SELECT owner_id FROM accounts_refreshtoken WHERE uuid = %(session_id)s) {lock}
"""
_TOUCH = """
    UPDATE accounts_refreshtoken SET last_used_at = %(now)s, expires_at = %(expires_at)s
    WHERE uuid = %(session_id)s AND owner_stamp = %(owner_stamp)s AND ended_at IS NULL AND expires_at > %(now)s
"""


def find(session_id: UUID) -> RefreshToken | None:
    """Return a sign-in in any state with its owner, whose roles and kinds of factors are fetched, or None."""
    session = _find_session(session_id, "")
    owner = _find_owner(session_id, "") if session else None
    return _joined(session, owner)


def lock(session_id: UUID) -> RefreshToken | None:
    """Lock the row of the owner, then that of the sign-in, until the transaction ends; return it as `find` does.

    Whatever voids sessions of a user changes or locks the user's row first, so that no session is opened past it.
    """
    # NO KEY does not block other requests of the user, which only refer to the row.
    owner = _find_owner(session_id, "FOR NO KEY UPDATE")
    # After the lock on the owner, so that this statement finds the roles and factors as they are under the lock.
    return _joined(_find_session(session_id, "FOR UPDATE"), owner)


def touch(session: RefreshToken, now: datetime, expires_at: datetime) -> bool:
    """Store the use of a sign-in and its new expiry, or return False if it has ended or expired since."""
    connection = connection_of(RefreshToken)
    parameters = {
        "session_id": session.pk, "owner_stamp": session.owner_stamp, "now": now, "expires_at": expires_at
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_TOUCH, {name: adapt(connection, value) for name, value in parameters.items()})
        return bool(cursor.rowcount)


def _joined(session: RefreshToken | None, owner: User | None) -> RefreshToken | None:
    if session is None or owner is None:
        return None
    vars(owner).update({name: vars(session).pop(name) for name in _FACTS_ABOUT_OWNER})
    session.owner = owner
    return session


def _find_session(session_id: UUID, lock: str) -> RefreshToken | None:
    connection = connection_of(RefreshToken)
    statement = _session_sql(connection.vendor, lock)
    found = RefreshToken.objects.raw(statement, {"session_id": adapt(connection, session_id)})
    return next(iter(found), None)


def _find_owner(session_id: UUID, lock: str) -> User | None:
    connection = connection_of(User)
    statement = _owner_sql(connection.vendor, lock)
    return next(iter(User.objects.raw(statement, {"session_id": adapt(connection, session_id)})), None)


@cache
def _session_sql(vendor: str, lock: str) -> str:
    return _FIND_SESSION.format(
        columns=columns_of(RefreshToken),
        role_names=RoleNames.sql(vendor, "accounts_refreshtoken.owner_id"),
        lock=_supported(vendor, lock),
    )


@cache
def _owner_sql(vendor: str, lock: str) -> str:
    return _FIND_OWNER.format(columns=columns_of(User), lock=_supported(vendor, lock))


def _supported(vendor: str, lock: str) -> str:
    # SQLite has one writer anyway.
    return "" if vendor == "sqlite" else lock
