"""The session store of the Django admin, which stores digests of session keys instead of the keys.

Django stores the key itself, which is also the value of the cookie: anyone who reads the database or a backup of
it could act as an administrator.
"""

import hashlib
import re
from typing import Any

from django.contrib.sessions.backends import db
from django.utils import timezone

_DIGEST_LENGTH = 40  # hex digits, the size of the column: 160 bits, about as many as a key has


class SessionStore(db.SessionStore):
    """A database session store that looks sessions up by the digest of the key."""

    def load(self) -> dict[str, Any]:
        """Return the session's content.

        For an expired or unknown session, the content is empty and the key is dropped, which deletes the cookie.
        """
        rows = self.model.objects.filter(session_key=_digest(self.session_key or ""))
        row = rows.filter(expire_date__gt=timezone.now()).first()
        if row is None:
            self._session_key = None
            return {}
        content: dict[str, Any] = self.decode(row.session_data)
        return content

    def exists(self, session_key: str) -> bool:
        """Return whether a session with this key exists."""
        return super().exists(_digest(session_key))

    def create_model_instance(self, data: Any) -> Any:
        """Return the row to store, with the digest in place of the key."""
        row = super().create_model_instance(data)
        row.session_key = _digest(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        """Delete the session with this key, by default the current one."""
        key = session_key or self.session_key
        if key is not None:
            super().delete(_digest(key))

    def _validate_session_key(self, key: str | None) -> bool:
        # A malformed key is rejected without a query.
        return re.fullmatch(r"[a-z0-9]{32}", key or "") is not None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:_DIGEST_LENGTH]
