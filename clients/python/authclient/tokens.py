"""Requests to the token endpoints, with retries."""

import time
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay

from authclient.errors import AuthError
from authclient.stores import Session

TOTAL_TIMEOUT = 20.0  # seconds, for one sign-in or refresh with all of its tries
RETRY_DELAY = 0.5  # seconds between tries, where the service asks for no other
BACKOFF = 5.0  # seconds without tries after all of them have failed, where the service asks for no other

# A refresh whose response was lost is answered once more within AUTH_REFRESH_TOKEN_GRACE (10 seconds unless set
# otherwise): a lost response must be noticed, and retry_after for again, well before that.
TIMEOUT = httpx.Timeout(4.0)

# The last tenth of a token's life, but no more than this, is when it is replaced though it is still good.
MAX_RENEWAL_MARGIN = 30.0


class TokenClient:
    """Speaks to the service's endpoints that hand out tokens and take them back."""

    def __init__(self, url: str, http: httpx.Client | None = None) -> None:
        self._url = url.rstrip("/")
        # Without a client of its own no connection is kept: a process that forks shares none with its children.
        self._send = httpx.post if http is None else http.post

    def sign_in(self, username: str, password: str, audience: str | None) -> Session:
        """Open a session.

        Raises AuthError.
        """
        body = {"username": username, "password": password, "audience": audience}
        return self._request_session("signin", body)

    def refresh(self, refresh_token: str, audience: str | None) -> Session:
        """Swap a refresh token for a pair; the same one as often as it takes to get an response.

        Raises AuthError.
        """
        return self._request_session("refreshtoken", {"refreshToken": refresh_token, "audience": audience})

    def reauthenticate(self, session: Session, password: str) -> Session:
        """Get an access token with a fresh `auth_time`.

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
        retrying = Retrying(
            retry=retry_if_exception(_is_temporary),
            wait=_retry_delay,
            stop=stop_before_delay(TOTAL_TIMEOUT),
            reraise=True,
        )
        return retrying(self._post_once, f"{self._url}/api/auth/{path}", body, headers)

    def _post_once(self, url: str, body: dict[str, Any], headers: dict[str, str] | None) -> dict[str, Any]:
        try:
            response = self._send(url, json=body, headers=headers, timeout=TIMEOUT)
        except httpx.TransportError as error:
            raise AuthError("unreachable", f"No response from {url}: {error!r}") from error
        if response.is_error:
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
        raise AuthError("unexpected_answer", f"The response has no {error}: is this the service?") from None


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
            "unexpected_answer", f"{response.url} answered no JSON object.", status=response.status_code
        )
    return body


def _parse_retry_after(header: str) -> float | None:
    return float(header) if header.isascii() and header.isdigit() else None


def _is_temporary(error: BaseException) -> bool:
    return isinstance(error, AuthError) and error.may_pass


def _retry_delay(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    retry_after = error.retry_after if isinstance(error, AuthError) else None
    return RETRY_DELAY if retry_after is None else retry_after
