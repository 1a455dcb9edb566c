"""Receive logout tokens, which say that a session has ended (OpenID Connect Back-Channel Logout 1.0).

ended_sessions = MemoryEndedSessions()
receiver = LogoutReceiver("https://auth.example.com", client_id="shop", ended_sessions=ended_sessions)
verifier = Verifier("https://auth.example.com", audience="orders", ended_sessions=ended_sessions)

Pass the body of each POST request to your application's back-channel logout URI to `receiver.receive`, and respond
with what it returns. From then on, the verifier refuses the access tokens of the session.
"""

import json
import logging
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx

from authclient import claims as claims_module
from authclient.ended_sessions import SESSION, SUBJECT, TOKEN, EndedSessions, key_of
from authclient.issuer_keys import IssuerKeys
from authclient.refusals import IssuerUnavailable, TokenInvalid

TYP = "logout+jwt"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
MAX_BODY = 64 * 1024
"""Bytes. A longer body is refused."""

_CLOCK_SKEW = 5  # seconds
_MAX_NAME = 255  # characters of `sub`, `sid` and `jti`
_RETRY_AFTER = 5  # seconds

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Logout:
    """What a verified logout token says: which session has ended, or without `session_id`, all of a subject."""

    issuer: str
    subject: str | None
    session_id: str | None
    issued_at: int
    expires_at: int
    token_id: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogoutResponse:
    """The response to the issuer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Cache-Control": "no-store"})


class LogoutReceiver:
    """Receives the logout tokens that `issuer` sends to the application `client_id`, and ends their sessions.

    `token_lifetime` is the longest lifetime of an access token in seconds, for which ended sessions are stored: at
    least the issuer's AUTH_ACCESS_TOKEN_LIFETIME. `http` is the httpx client that fetches the issuer's keys.

    Raises ValueError if `issuer` is not a URL.
    """

    def __init__(
        self,
        issuer: str,
        *,
        client_id: str,
        ended_sessions: EndedSessions,
        token_lifetime: int = 86_400,
        http: httpx.Client | None = None,
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._ended_sessions = ended_sessions
        self._token_lifetime = token_lifetime
        self._keys = IssuerKeys(issuer, http)

    def receive(self, body: bytes) -> LogoutResponse:
        """End the session that the logout token in the body of a request names; return the response.

        This may block while keys are fetched, and while the store is used.
        """
        try:
            logout = self.verify(_read_form(body))
            self._end(logout)
        except TokenInvalid:
            return _refuse("The logout token is missing or invalid.")
        except (IssuerUnavailable, OSError) as error:
            logger.warning("A logout token cannot be processed now: %s", type(error).__name__)
            return _fail()  # the issuer tries again later
        return LogoutResponse(200)

    def verify(self, token: str) -> Logout:
        """Verify a logout token (section 2.6), and return what it says. Whether it was used before is not checked.

        Raises TokenInvalid or IssuerUnavailable.
        """
        claims = claims_module.decode(
            token, typ=TYP, find_key=self._keys.find, issuer=self._issuer, audience=self._client_id
        )
        if not (_has_valid_types(claims) and _has_valid_times(claims, time.time())):
            raise TokenInvalid
        return Logout(
            issuer=claims["iss"],
            subject=claims.get("sub"),
            session_id=claims.get("sid"),
            issued_at=claims["iat"],
            expires_at=claims["exp"],
            token_id=claims["jti"],
        )

    def _end(self, logout: Logout) -> None:
        """Store the end of a session, or of all sessions of a subject.

        Raises TokenInvalid if the token was used before, and OSError.
        """
        used = key_of(TOKEN, logout.issuer, logout.token_id)
        if self._ended_sessions.find([used]):
            raise TokenInvalid
        if logout.session_id is not None:
            ended = key_of(SESSION, logout.issuer, logout.session_id)
        else:
            ended = key_of(SUBJECT, logout.issuer, str(logout.subject))
        latest = max(logout.issued_at, self._ended_sessions.find([ended]).get(ended, 0))
        self._ended_sessions.add(ended, latest, self._token_lifetime)
        # Last, so that the issuer's next attempt is not refused if the session could not be stored.
        self._ended_sessions.add(
            used, logout.issued_at, max(int(logout.expires_at - time.time()), 0) + _CLOCK_SKEW
        )


def _read_form(body: bytes) -> str:
    """Return the only `logout_token` of a form.

    Raises TokenInvalid.
    """
    if len(body) > MAX_BODY:
        raise TokenInvalid
    try:
        tokens = parse_qs(body.decode("ascii"), max_num_fields=10).get("logout_token", [])
    except ValueError:
        raise TokenInvalid from None
    if len(tokens) != 1:
        raise TokenInvalid
    return tokens[0]


def _has_valid_types(claims: dict[str, Any]) -> bool:
    events = claims.get("events")
    names = [claims[name] for name in ("sub", "sid") if name in claims]
    return (
        type(claims.get("iat")) is int
        and type(claims.get("exp")) is int
        and _is_name(claims.get("jti"))
        and bool(names)
        and all(map(_is_name, names))
        and isinstance(events, dict)
        and isinstance(events.get(EVENT), dict)
        # So that an ID token is never a logout token (section 2.4).
        and "nonce" not in claims
    )


def _has_valid_times(claims: dict[str, Any], now: float) -> bool:
    return bool(claims["iat"] <= now + _CLOCK_SKEW and now < claims["exp"])


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME


def _refuse(description: str) -> LogoutResponse:
    body = json.dumps({"error": "invalid_request", "error_description": description}).encode()
    return LogoutResponse(400, body, {"Cache-Control": "no-store", "Content-Type": "application/json"})


def _fail() -> LogoutResponse:
    return LogoutResponse(503, b"", {"Cache-Control": "no-store", "Retry-After": str(_RETRY_AFTER)})
