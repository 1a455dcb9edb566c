"""The last failure of a refresh, which processes that wait for the same refresh share."""

import json
import time
import uuid
from dataclasses import asdict, dataclass, field

from authclient.errors import AuthError


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed refresh: its error, and when the service may be called again, in seconds since 1970."""

    code: str
    message: str
    status: int | None
    retry_after: float | None
    pause: float
    """Seconds without requests, from the failure on."""

    until: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def of(cls, error: AuthError, pause: float) -> "Failure":
        """Return the failure with this error, after which no request is sent for `pause` seconds."""
        return cls(error.code, error.message, error.status, error.retry_after, pause, time.time() + pause)

    @classmethod
    def from_json(cls, text: str) -> "Failure | None":
        """Return the failure in a text, or None if there is none."""
        try:
            failure = cls(**json.loads(text))
            return failure if failure.remaining() >= 0 else None
        except (ValueError, TypeError):
            return None

    def to_json(self) -> str:
        """Return the failure as a text."""
        return json.dumps(asdict(self))

    def error(self) -> AuthError:
        """Return the error for another caller."""
        return AuthError(self.code, self.message, status=self.status, retry_after=self.retry_after)

    def remaining(self) -> float:
        """Return the seconds until a request may be sent. A clock that was set back does not make them more."""
        return min(max(0.0, self.until - time.time()), self.pause)
