"""The session store of the Django admin, which stores digests of session keys instead of the keys.

Django stores the key itself, which is also the value of the cookie: anyone who reads the database or a backup of
it could act as an administrator.
"""

import hashlib
import re
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import db
from django.db.models import QuerySet
from django.utils import timezone

from accounts.databases import alias_of

_DIGEST_LENGTH = 40  # hex digits, the size of the column: 160 bits, about as many as a key has


class SessionStore(db.SessionStore):
    """A database session store that looks sessions up by the digest of the key."""

    def load(self) -> dict[str, Any]:
        """Return the session's content.

        For an expired or unknown session, the content is empty and the key is dropped, which deletes the cookie.
        """
        rows = self._rows(self.session_key or "")
        row = rows.filter(expire_date__gt=timezone.now()).first()
        if row is None:
            self._session_key = None
            return {}
        content: dict[str, Any] = self.decode(row.session_data)
        return content

    def exists(self, session_key: str) -> bool:
        """Return whether a session with this key exists."""
        found: bool = self._rows(session_key).exists()
        return found

    def create_model_instance(self, data: Any) -> Any:
        """Return the row to store, with the digest in place of the key."""
        row = super().create_model_instance(data)
        row.session_key = _digest(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        """Delete the session with this key, by default the current one."""
        key = session_key or self.session_key
        if key is not None:
            self._rows(key).delete()

    async def aload(self) -> dict[str, Any]:
        """Return the session's content, in an asynchronous view."""
        return await sync_to_async(self.load)()

    async def aexists(self, session_key: str) -> bool:
        """Return whether a session with this key exists, in an asynchronous view."""
        return await sync_to_async(self.exists)(session_key)

    async def acreate_model_instance(self, data: Any) -> Any:
        """Return the row to store, in an asynchronous view."""
        return self.create_model_instance(data)

    async def adelete(self, session_key: str | None = None) -> None:
        """Delete the session with this key, in an asynchronous view."""
        await sync_to_async(self.delete)(session_key)

    def _rows(self, key: str) -> QuerySet[Any]:
        # Not from a replica, on which an administrator who has signed out may still be signed in.
        sessions = self.model.objects.using(alias_of(self.model))
        rows: QuerySet[Any] = sessions.filter(session_key=_digest(key))
        return rows

    def _validate_session_key(self, key: str | None) -> bool:
        # A malformed key is rejected without a query.
        return re.fullmatch(r"[a-z0-9]{32}", key or "") is not None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:_DIGEST_LENGTH]
