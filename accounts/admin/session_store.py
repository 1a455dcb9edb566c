"""Where the Django admin's sign-ins are kept: Django's own table, which knows of each cookie only the digest.

With a row's key whoever reads the database, or a backup of it, would be an administrator.
"""

import hashlib
import re
from typing import Any

from django.contrib.sessions.backends import db
from django.utils import timezone

_DIGEST_LENGTH = 40  # of 64 digits, for that is what the column holds: 160 bits, about as many as a key has


class SessionStore(db.SessionStore):
    """Finds sessions by the digests of their keys; for what is no key the database is not asked."""

    def load(self) -> dict[str, Any]:
        """Read the session; one that is over or was never begun is empty, and its cookie is taken back."""
        rows = self.model.objects.filter(session_key=_digest(self.session_key or ""))
        row = rows.filter(expire_date__gt=timezone.now()).first()
        if row is None:
            self._session_key = None
            return {}
        content: dict[str, Any] = self.decode(row.session_data)
        return content

    def exists(self, session_key: str) -> bool:
        """Tell whether there is a session with that key."""
        return super().exists(_digest(session_key))

    def create_model_instance(self, data: Any) -> Any:
        """Make the row that is stored."""
        row = super().create_model_instance(data)
        row.session_key = _digest(row.session_key)
        return row

    def delete(self, session_key: str | None = None) -> None:
        """Delete a session, this one unless another is named."""
        key = session_key or self.session_key
        if key is not None:
            super().delete(_digest(key))

    def _validate_session_key(self, key: str | None) -> bool:
        return re.fullmatch(r"[a-z0-9]{32}", key or "") is not None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:_DIGEST_LENGTH]
