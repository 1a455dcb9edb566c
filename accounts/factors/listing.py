"""The second factors of a user as they are listed: without secrets."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from accounts.errors import NotFound
from accounts.models import Authenticator, Passkey, User

AUTHENTICATOR = "totp"
PASSKEY = "passkey"


class Factor(NamedTuple):
    """A factor of a user, as it is listed. It contains no secret."""

    id: UUID
    type: str
    name: str
    created_at: datetime
    last_used_at: datetime | None
    is_synced: bool | None
    """Whether a passkey can be copied to other devices of its owner. None for other factors."""


def factors_of(user: User) -> list[Factor]:
    """Return the factors of a user, oldest first, without recovery codes."""
    apps = Authenticator.objects.confirmed().filter(owner=user)
    found = [describe(factor) for factor in (*apps, *Passkey.objects.filter(owner=user))]
    return sorted(found, key=lambda factor: (factor.created_at, factor.id))


def describe(factor: Authenticator | Passkey) -> Factor:
    """Return a stored factor as it is listed."""
    return Factor(
        id=factor.pk,
        type=PASSKEY if isinstance(factor, Passkey) else AUTHENTICATOR,
        name=factor.name,
        created_at=factor.created_at,
        last_used_at=factor.last_used_at,
        is_synced=factor.is_synced if isinstance(factor, Passkey) else None,
    )


def find(user: User, factor_id: UUID) -> Authenticator | Passkey:
    """Return a factor of the user.

    Raises NotFound.
    """
    app = Authenticator.objects.confirmed().filter(owner=user, pk=factor_id).first()
    factor = app or Passkey.objects.filter(owner=user, pk=factor_id).first()
    if factor is None:
        raise NotFound
    return factor
