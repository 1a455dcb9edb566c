"""The Django admin: users, and the sessions that administrators find and revoke."""

from accounts.admin.sessions import SessionAdmin
from accounts.admin.users import UserAdmin

__all__ = ["SessionAdmin", "UserAdmin"]
