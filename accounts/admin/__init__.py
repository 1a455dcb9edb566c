"""The Django admin: users, the sessions that administrators find and revoke, and what happened to accounts."""

from accounts.admin.activity import ActivityAdmin
from accounts.admin.services import ServiceAdmin
from accounts.admin.sessions import SessionAdmin
from accounts.admin.users import UserAdmin

__all__ = ["ActivityAdmin", "ServiceAdmin", "SessionAdmin", "UserAdmin"]
