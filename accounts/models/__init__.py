"""The models of users, roles, sessions, services and the security history, and changes to a single table.

A change that touches several tables belongs in `accounts.users` or `accounts.sessions`.
"""

from accounts.models.activity import Activity, ActivityQuerySet
from accounts.models.applications import (
    CLIENT_ID_LENGTH,
    FIRST_PARTY,
    Application,
    AuthorizationCode,
)
from accounts.models.factors import (
    FACTOR_NAME_LENGTH,
    MAX_CREDENTIAL_ID_LENGTH,
    Authenticator,
    Passkey,
    PendingSignIn,
    RecoveryCode,
    UsedChallenge,
)
from accounts.models.guesses import GuessCount
from accounts.models.invitations import Invitation, InvitationQuerySet
from accounts.models.logout_deliveries import LogoutDelivery, LogoutDeliveryQuerySet
from accounts.models.origins import KnownOrigin, OriginKind
from accounts.models.password_costs import PasswordCost
from accounts.models.roles import DEFAULT_ROLE, Role, RolesMissing, require_roles, split_role_names
from accounts.models.services import Service
from accounts.models.sessions import (
    EndReason,
    RefreshToken,
    RefreshTokenQuerySet,
    SessionKind,
    SessionState,
)
from accounts.models.user_queries import UserQuerySet
from accounts.models.users import NO_USER_ID, User

__all__ = [
    "CLIENT_ID_LENGTH",
    "DEFAULT_ROLE",
    "FACTOR_NAME_LENGTH",
    "FIRST_PARTY",
    "MAX_CREDENTIAL_ID_LENGTH",
    "NO_USER_ID",
    "Activity",
    "ActivityQuerySet",
    "Application",
    "Authenticator",
    "AuthorizationCode",
    "EndReason",
    "GuessCount",
    "Invitation",
    "InvitationQuerySet",
    "KnownOrigin",
    "LogoutDelivery",
    "LogoutDeliveryQuerySet",
    "OriginKind",
    "Passkey",
    "PasswordCost",
    "PendingSignIn",
    "RecoveryCode",
    "RefreshToken",
    "RefreshTokenQuerySet",
    "Role",
    "RolesMissing",
    "Service",
    "SessionKind",
    "SessionState",
    "UsedChallenge",
    "User",
    "UserQuerySet",
    "require_roles",
    "split_role_names",
]
