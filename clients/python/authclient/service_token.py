"""The access token of a service itself, which it got with its own credentials (RFC 6749 section 4.4)."""

from dataclasses import dataclass, field
from typing import Any, Self

from authclient.refusals import RoleRequired


@dataclass(frozen=True, slots=True)
class ServiceToken:
    """A verified access token of a service. `client_id` names the service; there is no user and no session.

    `expires_at` is in seconds since 1970. `claims` has all claims; do not change it.
    """

    issuer: str
    client_id: str
    roles: tuple[str, ...]
    expires_at: int
    claims: dict[str, Any] = field(repr=False, compare=False)

    @classmethod
    def from_claims(cls, claims: dict[str, Any]) -> Self:
        """Build a token from verified claims."""
        return cls(
            issuer=claims["iss"],
            client_id=claims["client_id"],
            roles=tuple(claims["roles"]),
            expires_at=claims["exp"],
            claims=claims,
        )

    def require_role(self, role: str) -> None:
        """Raise RoleRequired unless the service has the role."""
        if role not in self.roles:
            raise RoleRequired(role)
