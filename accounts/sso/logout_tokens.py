"""Issue logout tokens, which say that a session has ended (OpenID Connect Back-Channel Logout 1.0)."""

import secrets
from datetime import datetime, timedelta

from accounts.models import LogoutDelivery
from accounts.tokens import access_tokens
from accounts.tokens.signing import sign

JWT_TYP = "logout+jwt"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
LIFETIME = timedelta(minutes=2)


def issue(delivery: LogoutDelivery, *, at: datetime) -> str:
    """Return a logout token for the application of a delivery (section 2.4).

    Each attempt needs a token of its own: receivers refuse a `jti` that they remember.

    Raises ImproperlyConfigured if the signing keys cannot be used and this process has none yet.
    """
    issued_at = int(at.timestamp())
    claims = {
        "iss": access_tokens.issuer(),
        "aud": delivery.client_id,
        "iat": issued_at,
        "exp": issued_at + int(LIFETIME.total_seconds()),
        "jti": secrets.token_urlsafe(16),
        "events": {EVENT: {}},
        "sub": delivery.subject,
        "sid": str(delivery.session_id),
    }
    return sign(claims, JWT_TYP)
