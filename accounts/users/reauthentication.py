"""Step-up: a signed-in user presents the password or a second factor again (RFC 9470)."""

from typing import Any
from uuid import UUID

from django.utils import timezone

from accounts.errors import TokenRevoked
from accounts.factors import passkeys, verification
from accounts.factors.verification import PresentedFactor
from accounts.models import User
from accounts.sessions import step_up
from accounts.tokens.access_tokens import AccessToken
from accounts.users import credentials
from accounts.values.authentication import BY_PASSWORD
from accounts.values.clients import Client


def with_password(user_id: int, session_id: UUID, password: str, client: Client) -> AccessToken:
    """Verify the password of a signed-in user, and return an access token with a fresh `auth_time`.

    Raises InvalidPassword, Throttled or TokenRevoked.
    """
    user = credentials.confirm(user_id, password, client)
    return step_up.step_up(session_id, user, client, BY_PASSWORD)


def with_second_factor(user_id: int, session_id: UUID, presented: PresentedFactor, client: Client) -> AccessToken:
    """Verify a second factor of a signed-in user, and return an access token with a fresh `auth_time` and `acr` 2.

    Raises InvalidCode, Throttled or TokenRevoked.
    """
    user = _find(user_id, client)
    factor = verification.verify(user, presented, client, binding=_binding(session_id), session_id=session_id)
    return step_up.step_up(session_id, user, client, factor)


def passkey_options(user: User, session_id: UUID) -> dict[str, Any]:
    """Return the options to present a passkey in this session: PublicKeyCredentialRequestOptionsJSON."""
    return passkeys.request_options(user, _binding(session_id), timezone.now())


def _find(user_id: int, client: Client) -> User:
    user = credentials.find(user_id, client)
    if user is None:
        raise TokenRevoked
    return user


def _binding(session_id: UUID) -> str:
    return f"reauthenticate {session_id}"
