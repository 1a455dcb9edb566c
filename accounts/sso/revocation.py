"""Revocation by applications (RFC 7009): each can end its own sessions only."""

from django.utils import timezone

from accounts.errors import RefreshTokenUnknown, TokenExpired, TokenInvalid
from accounts.models import Application, EndReason, RefreshToken
from accounts.sessions import lifecycle, rotation
from accounts.tokens import access_tokens, refresh_tokens
from accounts.values.clients import Client


def revoke(application: Application, token: str, client: Client) -> None:
    """End the session of an access token or refresh token that was issued to the application.

    Any other string is ignored without an error, and so is a token of another client (RFC 7009 section 2.1).
    """
    try:
        claims = access_tokens.verify_for_any(token, at=timezone.now())
    except (TokenExpired, TokenInvalid):
        _revoke_refresh_token(application, token, client)
    else:
        if claims.client_id == application.client_id:
            lifecycle.end(claims.session_id, EndReason.SIGNED_OUT, client)


def _revoke_refresh_token(application: Application, token: str, client: Client) -> None:
    try:
        session_id = refresh_tokens.parse(token).session_id
    except RefreshTokenUnknown:
        return
    if RefreshToken.objects.filter(pk=session_id, application_id=application.client_id).exists():
        rotation.end_by_refresh_token(token, client)
