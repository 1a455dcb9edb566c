"""Requests to the token endpoints, with retries."""

import time
from typing import Any

import httpx

from authclient.errors import AuthError
from authclient.stores import Session

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

        Raises AuthError.
        """
        body = {"username": username, "password": password, "audience": audience}
        return self._request_session("signin", body)

    def refresh(self, refresh_token: str, audience: str | None) -> Session:
        """Exchange a refresh token for a new pair. Retries send the same token.

        Raises AuthError.
        """
        return self._request_session("refreshtoken", {"refreshToken": refresh_token, "audience": audience})

    def reauthenticate(self, session: Session, password: str) -> Session:
        """Return the session with an access token whose `auth_time` is new.

        Raises AuthError.
        """
        requested_at = time.time()
        headers = {"Authorization": f"Bearer {session.access_token}"}
        response = self._post("reauthenticate", {"password": password}, headers)
        return _parse_session({"refreshToken": session.refresh_token, **response}, requested_at)

    def sign_out(self, refresh_token: str) -> None:
        """End a session.

        Raises AuthError.
        """
        self._post("signout", {"refreshToken": refresh_token})

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

    def _post_once(self, url: str, body: dict[str, Any], headers: dict[str, str] | None) -> dict[str, Any]:
        try:
            # A redirect would send the password or the token elsewhere, even if the client follows redirects.
            response = self._send(url, json=body, headers=headers, timeout=TIMEOUT, follow_redirects=False)
        except httpx.TransportError as error:
            raise AuthError("unreachable", f"No response from {url}: {error!r}") from error
        if not response.is_success:
            raise _parse_error(response)
        return _parse_object(response)


def _parse_session(response: dict[str, Any], requested_at: float) -> Session:
    try:
        lifetime = float(response["expiresIn"])
        return Session(
            access_token=str(response["accessToken"]),
            refresh_token=str(response["refreshToken"]),
            renew_at=requested_at + lifetime - min(lifetime / 10, MAX_RENEWAL_MARGIN),
            expires_at=requested_at + lifetime,
        )
    except KeyError as error:
        raise AuthError(
            "unexpected_answer", f"The response has no {error}. Is this the URL of the service?"
        ) from None


def _parse_error(response: httpx.Response) -> AuthError:
    body = _parse_object(response) if "json" in response.headers.get("content-type", "") else {}
    return AuthError(
        str(body.get("code", f"http_{response.status_code}")),
        str(body.get("message", response.reason_phrase)),
        status=response.status_code,
        retry_after=_parse_retry_after(response.headers.get("retry-after", "")),
    )


def _parse_object(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json() if response.content else {}
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise AuthError(
            "unexpected_answer", f"{response.url} did not respond with a JSON object.", status=response.status_code
        )
    return body


def _parse_retry_after(header: str) -> float | None:
    return float(header) if header.isascii() and header.isdigit() else None
