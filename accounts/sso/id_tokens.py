"""ID tokens (OpenID Connect Core section 2): what an application learns about a sign-in."""

import hashlib
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from accounts.conf import auth_settings
from accounts.errors import TokenInvalid
from accounts.models import RefreshToken
from accounts.sso import userinfo
from accounts.tokens import signing
from accounts.values import base64url

JWT_TYP = "JWT"
"""An access token has another `typ`, so that neither is ever accepted as the other (RFC 8725 section 3.11)."""

# Under EdDSA, OpenID Connect does not define the hash, and clients that require one refuse SHA-256.
_ALGORITHMS_WITH_HASH = frozenset({"ES256", "RS256"})


class IdTokenHint(NamedTuple):
    """What an ID token that comes back says: its application, user and session."""

    client_id: str
    subject: str
    session_id: UUID


def are_available() -> bool:
    """Return whether applications can verify ID tokens. Otherwise, single sign-on is off."""
    return signing.algorithm() != signing.SYMMETRIC_ALGORITHM


def issue(session: RefreshToken, access_token: str, *, nonce: str, at: datetime) -> str:
    """Return the ID token of an application's session that was fetched with its owner.

    It is valid as long as the access token that is issued with it.
    """
    issued_at = int(at.timestamp())
    expires_at = min(at + auth_settings().access_token_lifetime, session.expires_at)
    claims = {
        "iss": auth_settings().issuer,
        "aud": session.application_id,
        "iat": issued_at,
        "exp": int(expires_at.timestamp()),
        # Not later than now: the sign-in may have been timed by a clock that was ahead.
        "auth_time": int(min(session.authenticated_at, at).timestamp()),
        "acr": str(session.authentication.level),
        "amr": list(session.authentication.methods),
        "sid": str(session.uuid),
        **userinfo.claims_about(session.owner, session.scope),
        **({"nonce": nonce} if nonce else {}),
        **_access_token_hash(access_token),
    }
    return signing.sign(claims, JWT_TYP)


def read_hint(token: str) -> IdTokenHint:
    """Return what an ID token of this service says, even an expired one.

    Raises TokenInvalid if it was not issued here, or is another kind of token.
    """
    claims = signing.read(token, JWT_TYP)
    client_id, subject, session_id = claims.get("aud"), claims.get("sub"), claims.get("sid")
    if not (isinstance(client_id, str) and isinstance(subject, str) and isinstance(session_id, str)):
        raise TokenInvalid
    try:
        return IdTokenHint(client_id, subject, UUID(session_id))
    except ValueError:
        raise TokenInvalid from None


def _access_token_hash(access_token: str) -> dict[str, Any]:
    if signing.algorithm() not in _ALGORITHMS_WITH_HASH:
        return {}
    digest = hashlib.sha256(access_token.encode()).digest()
    return {"at_hash": base64url.encode(digest[:16])}
