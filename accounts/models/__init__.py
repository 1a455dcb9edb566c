"""Users, their roles, their sessions: fields, constraints, and the changes that touch one table."""

from accounts.models.guesses import GuessCount
from accounts.models.networks import KnownNetwork
from accounts.models.sessions import (
    EndReason,
    RefreshToken,
    RefreshTokenQuerySet,
    SessionState,
)
from accounts.models.users import (
    DEFAULT_ROLE,
    Role,
    User,
    UserQuerySet,
    split_role_names,
)

__all__ = [
    "DEFAULT_ROLE",
    "EndReason",
    "GuessCount",
    "KnownNetwork",
    "RefreshToken",
    "RefreshTokenQuerySet",
    "Role",
    "SessionState",
    "User",
    "UserQuerySet",
    "split_role_names",
]
