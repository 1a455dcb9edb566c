"""A model of the session rules as plain data, against which the state machine test compares the real sessions."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from accounts.models import User

ACCESS_LIFETIME = timedelta(seconds=900)
REFRESH_LIFETIME = timedelta(seconds=3600)
SESSION_LIFETIME = timedelta(seconds=4000)
GRACE = timedelta(seconds=10)


@dataclass
class Owner:
    """A user as the model expects it; `stamp` counts the changes of the security stamp."""

    user: User
    roles: frozenset[str]
    password: str
    version: int = 0
    stamp: int = 0
    is_active: bool = True


@dataclass
class Session:
    """The expected state of one session. `tokens` are its refresh tokens, indexed by generation."""

    uuid: UUID
    owner: Owner
    started_at: datetime
    authenticated_at: datetime
    expires_at: datetime
    owner_stamp: int
    tokens: list[str]
    rotated_at: datetime | None = None
    end_reason: str = ""
    is_deleted: bool = False
    access_tokens: deque["IssuedAccessToken"] = field(default_factory=lambda: deque(maxlen=2))

    @property
    def generation(self) -> int:
        return len(self.tokens) - 1

    @property
    def has_ended(self) -> bool:
        return bool(self.end_reason) or not self.owner.is_active or self.owner_stamp != self.owner.stamp

    def is_valid(self, now: datetime) -> bool:
        return not self.is_deleted and not self.has_ended and now < self.expires_at

    def end(self, reason: str) -> None:
        self.end_reason = self.end_reason or reason

    def expected_outcome(self, generation: int, now: datetime) -> str:
        """Return the expected result of a refresh: `rotated`, `repeated`, or the code of the error."""
        if self.is_deleted:
            return "refresh_token_unknown"
        if self.has_ended:
            return "refresh_token_revoked"
        if self.expires_at <= now:
            return "refresh_token_expired"
        if generation == self.generation:
            return "rotated"
        is_in_grace = self.rotated_at is not None and now < self.rotated_at + GRACE
        return "repeated" if generation == self.generation - 1 and is_in_grace else "refresh_token_reused"

    def advance(self, successor: str, now: datetime) -> None:
        self.tokens.append(successor)
        self.rotated_at = now
        self.expires_at = min(now + REFRESH_LIFETIME, self.started_at + SESSION_LIFETIME)


@dataclass
class IssuedAccessToken:
    """An access token that was issued, and the state in which it was issued."""

    text: str
    session: Session
    version: int
    expires_at: datetime
    owner_id: int

    def expected_outcome(self, now: datetime) -> str:
        """Return the expected result of a request with this token: `good`, or the code of the error."""
        if self.expires_at <= now:
            return "token_expired"
        if not self.session.is_valid(now):
            return "token_revoked"
        return "good" if self.version == self.session.owner.version else "token_stale"


@dataclass
class World:
    """Every user, session and token that the state machine has created."""

    owners: list[Owner] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)

    def newest_access_tokens(self) -> list[IssuedAccessToken]:
        """Return the two newest access tokens of each session."""
        return [access for session in self.sessions for access in session.access_tokens]

    def sessions_of(self, owner: Owner) -> list[Session]:
        return [session for session in self.sessions if session.owner is owner and not session.is_deleted]
