"""Verify access tokens of the token service in any Python program, without its database or a framework."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self
from uuid import UUID

import anyio.to_thread
import httpx

from authclient import claims as claims_module
from authclient import encrypted_tokens
from authclient.ended_sessions import SESSION, SUBJECT, EndedSessions, MemoryEndedSessions, key_of
from authclient.issuer_keys import FetchDue, IssuerKeys, PublishedKey
from authclient.refusals import (
    EndedSessionsUnavailable,
    IssuerUnavailable,
    RecentAuthenticationRequired,
    Refused,
    RoleRequired,
    ScopeRequired,
    SecondFactorRequired,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TokenRevoked,
)
from authclient.service_token import ServiceToken

__all__ = [
    "AccessToken",
    "EndedSessionsUnavailable",
    "IssuerUnavailable",
    "RecentAuthenticationRequired",
    "Refused",
    "RoleRequired",
    "ScopeRequired",
    "SecondFactorRequired",
    "ServiceToken",
    "TokenExpired",
    "TokenInvalid",
    "TokenMissing",
    "TokenRevoked",
    "Verifier",
    "parse_bearer",
]


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A verified access token. Times are in seconds since 1970.

    `issuer` and `subject` together identify the user. `claims` has all claims; do not change it.
    """

    issuer: str
    subject: str
    session_id: UUID
    roles: tuple[str, ...]
    auth_time: int
    expires_at: int
    claims: dict[str, Any] = field(repr=False, compare=False)
    token_id: str = field(repr=False)

    @classmethod
    def from_claims(cls, claims: dict[str, Any]) -> Self:
        """Build a token from verified claims."""
        return cls(
            issuer=claims["iss"],
            subject=claims["sub"],
            session_id=UUID(claims["sid"]),
            roles=tuple(claims["roles"]),
            auth_time=claims["auth_time"],
            expires_at=claims["exp"],
            claims=claims,
            token_id=claims["jti"],
        )

    @property
    def acr(self) -> str:
        """The level of authentication (RFC 9068): "2" if the user presented a second factor, else "1"."""
        level: str = self.claims.get("acr", claims_module.LEVELS[0])
        return level

    @property
    def amr(self) -> tuple[str, ...]:
        """How the user authenticated, as in `pwd`, `otp` and `mfa` (RFC 8176)."""
        return tuple(self.claims.get("amr", ()))

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes (RFC 9068 section 2.2.3). Tokens of users have none; their rights are in `roles`."""
        scope = self.claims.get("scope")
        return frozenset(scope.split()) if isinstance(scope, str) else frozenset()

    @property
    def verified_email(self) -> str | None:
        """The user's email address if the service has verified it, else None.

        The service includes it only if AUTH_PROFILE_CLAIMS contains `email`.
        """
        email = self.claims.get("email")
        is_verified = self.claims.get("email_verified") is True
        return email if is_verified and isinstance(email, str) and "@" in email else None

    def require_role(self, role: str) -> None:
        """Raise RoleRequired unless the user has the role."""
        if role not in self.roles:
            raise RoleRequired(role)

    def require_scope(self, scope: str) -> None:
        """Raise ScopeRequired unless the token has the scope."""
        if scope not in self.scopes:
            raise ScopeRequired(scope)

    def require_recent_authentication(self, max_age: int = 300) -> None:
        """Raise RecentAuthenticationRequired if the user entered the password more than `max_age` seconds ago."""
        if time.time() - self.auth_time > max_age:
            raise RecentAuthenticationRequired(max_age)

    def require_level(self, level: int = 2) -> None:
        """Raise SecondFactorRequired unless `acr` is at least `level`."""
        if int(self.acr) < level:
            raise SecondFactorRequired(level)


class Verifier:
    """Verifies the access tokens that `issuer` issues for the service named `audience`.

    Create one per process, and use it from any number of threads and tasks. `http` is the httpx client that
    fetches the issuer's keys, for example with a proxy or certificates. A token is accepted until it expires, even
    if its session is revoked. To learn of a revocation earlier, introspect the token (RFC 7662), or give
    `ended_sessions`, to which a `authclient.logout.LogoutReceiver` adds what the issuer reports.

    `decryption_keys` is the parsed JWK set that the issuer's show_encryption_key prints. Without it, encrypted
    tokens are invalid; with it, signed tokens are accepted too.

    Raises ValueError if `issuer` is not a URL, or `decryption_keys` is not such a set.
    """

    def __init__(
        self,
        issuer: str,
        *,
        audience: str,
        http: httpx.Client | None = None,
        decryption_keys: Mapping[str, Any] | None = None,
        ended_sessions: EndedSessions | None = None,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = IssuerKeys(issuer, http)
        self._ended_sessions = ended_sessions
        self._decryption_keys = {} if decryption_keys is None else encrypted_tokens.parse_keys(decryption_keys)

    def verify(self, token: str) -> AccessToken:
        """Verify a token; return it with its claims. This may block while keys are fetched or a store is read.

        Raises TokenExpired, TokenInvalid, TokenRevoked or IssuerUnavailable, which are subclasses of Refused.
        """
        verified = self._verify(token, self._keys.find)
        self._refuse_ended(verified)
        return verified

    async def verify_async(self, token: str) -> AccessToken:
        """Verify a token as `verify` does, without blocking the event loop: what may block runs in a thread."""
        try:
            verified = self._verify(token, self._keys.find_without_fetching)
        except FetchDue:
            return await anyio.to_thread.run_sync(partial(self.verify, token))
        if self._ended_sessions is None or isinstance(self._ended_sessions, MemoryEndedSessions):
            self._refuse_ended(verified)
        else:
            await anyio.to_thread.run_sync(partial(self._refuse_ended, verified))
        return verified

    def verify_service(self, token: str) -> ServiceToken:
        """Verify the access token of another service; return it with its claims. This may block, as `verify` does.

        `verify` refuses such tokens, so that no service is taken for a user. Whatever calls both methods must
        decide for each request which of them it accepts.

        Raises TokenExpired, TokenInvalid or IssuerUnavailable.
        """
        claims = claims_module.verify_service(
            self.decrypt(token),
            find_key=self._keys.find,
            issuer=self._issuer,
            audience=self._audience,
            at=time.time(),
        )
        return ServiceToken.from_claims(claims)

    def decrypt(self, token: str) -> str:
        """Return the signed token in an encrypted one, not verified. A signed token is returned unchanged.

        Raises TokenInvalid if the token cannot be decrypted.
        """
        return encrypted_tokens.decrypt(token, self._decryption_keys)

    def _verify(self, token: str, find_key: Callable[[str], PublishedKey | None]) -> AccessToken:
        signed = self.decrypt(token)
        claims = claims_module.verify(
            signed, find_key=find_key, issuer=self._issuer, audience=self._audience, at=time.time()
        )
        return AccessToken.from_claims(claims)

    def _refuse_ended(self, token: AccessToken) -> None:
        """Raise TokenRevoked if the session of a token has ended, and EndedSessionsUnavailable."""
        if self._ended_sessions is None:
            return
        session = key_of(SESSION, token.issuer, str(token.session_id))
        subject = key_of(SUBJECT, token.issuer, token.subject)
        try:
            ended = self._ended_sessions.find([session, subject])
        except OSError as error:
            raise EndedSessionsUnavailable from error
        # After the end of all sessions of a subject, those that begin later are valid.
        if session in ended or token.claims["iat"] <= ended.get(subject, -1):
            raise TokenRevoked


def parse_bearer(authorization: str | None) -> str | None:
    """Return the token of an `Authorization: Bearer` header (RFC 6750), or None if there is none."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
