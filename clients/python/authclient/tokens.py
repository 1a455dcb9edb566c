"""Requests to the token endpoints, with retries."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from authclient.errors import AuthError
from authclient.second_factor import Answer, Challenge, SecondFactorRequired, parse_challenge
from authclient.stores import Session, is_number, is_token

TOTAL_TIMEOUT = 20.0  # seconds for a sign-in or refresh with all its retries
RETRY_DELAY = 0.5  # seconds between retries, unless the service sends Retry-After
BACKOFF = 5.0  # seconds without requests after all retries have failed, unless the service sends Retry-After

# The service repeats the response to a refresh within AUTH_REFRESH_TOKEN_GRACE (default: 10 seconds). A lost
# response must be noticed and requested again well before that.
TIMEOUT = httpx.Timeout(4.0)

# A token is renewed in the last tenth of its lifetime, but at most this many seconds before it expires.
MAX_RENEWAL_MARGIN = 30.0


class TokenClient:
    """Calls the service's endpoints that issue and revoke tokens."""

    def __init__(self, url: str, http: httpx.Client | None = None) -> None:
        self._url = url.rstrip("/")
        # Without a client, no connection is kept open, so that a process that forks shares none with its children.
        self._send = httpx.post if http is None else http.post

    def sign_in(self, username: str, password: str, audience: str | None) -> Session:
        """Sign in; return the session.

        Raises SecondFactorRequired if the account has a second factor, or AuthError.
        """
        body = {"username": username, "password": password, "audience": audience}
        return self._request_session("signin", body)

    def complete_sign_in(self, challenge: Challenge, answer: Answer) -> Session:
        """Present a second factor; return the session.

        Raises AuthError.
        """
        return self._request_session("signin/second-factor", {**answer, "authSession": challenge.auth_session})

    def refresh(self, refresh_token: str, audience: str | None) -> Session:
        """Exchange a refresh token for a new pair. Retries send the same token.

        Raises AuthError.
        """
        return self._request_session("refreshtoken", {"refreshToken": refresh_token, "audience": audience})

    def reauthenticate(self, session: Session, answer: Answer) -> Session:
        """Return the session with an access token whose `auth_time` is new.

        Raises AuthError.
        """
        requested_at = time.time()
        headers = {"Authorization": f"Bearer {session.access_token}"}
        response = self._post("reauthenticate", dict(answer), headers)
        return _parse_session({"refreshToken": session.refresh_token, **response}, requested_at)

    def sign_out(self, refresh_token: str) -> None:
        """End a session.

        Raises AuthError.
        """
        if self._post("signout", {"refreshToken": refresh_token}):
            raise _unexpected("The response to a sign-out is not empty.")

    def _request_session(self, path: str, body: dict[str, Any]) -> Session:
        requested_at = time.time()
        return _parse_session(self._post(path, body), requested_at)

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        deadline = time.monotonic() + TOTAL_TIMEOUT
        while True:
            try:
                return self._post_once(f"{self._url}/api/auth/{path}", body, headers)
            except AuthError as error:
                delay = RETRY_DELAY if error.retry_after is None else error.retry_after
                if not error.may_pass or time.monotonic() + delay >= deadline:
                    raise
            time.sleep(delay)

    def _post_once(self, url: str, fields: dict[str, Any], headers: dict[str, str] | None) -> dict[str, Any]:
        try:
            # A redirect would send the password or the token elsewhere, even if the client follows redirects.
            response = self._send(url, json=fields, headers=headers, timeout=TIMEOUT, follow_redirects=False)
        except httpx.HTTPError as error:
            raise AuthError("unreachable", f"No response from {url}: {error!r}") from error
        if not response.is_success:
            raise _parse_error(response)
        body = _parse_object(response)
        if body is None:
            raise _unexpected(f"{response.url} did not respond with a JSON object.", response.status_code)
        return body


def _parse_session(response: dict[str, Any], requested_at: float) -> Session:
    lifetime, access, refresh = (response.get(name) for name in ("expiresIn", "accessToken", "refreshToken"))
    if not (is_number(lifetime) and lifetime > 0 and is_token(access) and is_token(refresh)):
        raise _unexpected("The response has no tokens. Is this the URL of the service?")
    return Session(
        access_token=access,
        refresh_token=refresh,
        renew_at=requested_at + lifetime - min(lifetime / 10, MAX_RENEWAL_MARGIN),
        expires_at=requested_at + lifetime,
    )


def _parse_error(response: httpx.Response) -> AuthError:
    body = _parse_object(response) or {}
    code, message = body.get("code"), body.get("message")
    text = message if isinstance(message, str) else response.reason_phrase
    challenge = parse_challenge(body)
    if challenge is not None:
        return SecondFactorRequired(text, challenge, status=response.status_code)
    return AuthError(
        code if isinstance(code, str) and code else f"http_{response.status_code}",
        text,
        status=response.status_code,
        retry_after=_parse_retry_after(response.headers.get("retry-after", "")),
    )


def _parse_object(response: httpx.Response) -> dict[str, Any] | None:
    """Return the JSON object in a response, an empty one for an empty response, or None for anything else."""
    try:
        body = response.json() if response.content else {}
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _parse_retry_after(header: str) -> float | None:
    """Return `Retry-After` in seconds. The header is a number or a date (RFC 9110 section 10.2.3)."""
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):  # no date, or a date without a time zone
        return None


def _unexpected(message: str, status: int | None = None) -> AuthError:
    return AuthError("unexpected_answer", message, status=status)
