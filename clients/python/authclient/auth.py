"""httpx authentication that adds an access token to requests and refreshes it, once for all waiting callers."""

import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Generator

import anyio.to_thread
import httpx

from authclient.errors import AuthError
from authclient.failures import Failure
from authclient.remembering import RememberingStore
from authclient.second_factor import Answer, AskForFactor, Challenge, SecondFactorRequired
from authclient.stores import MemoryStore, Session, Store
from authclient.tokens import BACKOFF, TokenClient

Credentials = Callable[[], tuple[str, str]]


class Auth(httpx.Auth):
    """Authenticates any number of httpx clients, threads and tasks with one session.

    `url` is the service's URL, `store` where the session is stored. `credentials` returns username and password;
    it is called if there is no session or the session has ended. Without it, that raises AuthError.
    `second_factor` is called during a sign-in to an account with a second factor, and returns what the user
    presents. The token is sent to the origins of `url` and `services` only. `audience` requests tokens for one
    service. `http` is the httpx client for token requests, for example with a proxy or certificates.
    """

    def __init__(  # noqa: PLR0913  keyword-only options
        self,
        url: str,
        *,
        store: Store | None = None,
        credentials: Credentials | None = None,
        second_factor: AskForFactor | None = None,
        services: Collection[str] = (),
        audience: str | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._tokens = TokenClient(url, http)
        self._store = RememberingStore(store or MemoryStore())
        self._credentials = credentials
        self._second_factor = second_factor
        self._origins = {_origin(httpx.URL(text)) for text in (url, *services)}
        self._audience = audience
        self._session = self._store.load()
        self._lock = threading.Lock()

    def sign_in(self, username: str, password: str) -> None:
        """Sign in and store the session, replacing any other.

        Raises AuthError: SecondFactorRequired if the account has a second factor and there is no `second_factor`.
        """
        session = self._open_session(username, password)
        with self._lock, self._store.lock():
            self._store_session(session)

    def complete_sign_in(self, challenge: Challenge, answer: Answer) -> None:
        """Complete the sign-in that raised SecondFactorRequired, with `{"code": …}` or `{"recoveryCode": …}`.

        Raises AuthError. After `invalid_code`, the challenge can be answered again.
        """
        session = self._tokens.complete_sign_in(challenge, answer)
        with self._lock, self._store.lock():
            self._store_session(session)

    def reauthenticate(self, password: str) -> None:
        """Confirm the password, for actions that require a recent authentication.

        Raises AuthError.
        """
        self.step_up({"password": password})

    def step_up(self, answer: Answer) -> None:
        """Confirm the password or a second factor: `{"password": …}`, `{"code": …}` or `{"recoveryCode": …}`.

        Raises AuthError.
        """
        session = self._current()
        try:
            self._step_up(answer)
        except AuthError as error:
            if error.status != httpx.codes.UNAUTHORIZED:
                raise
            self._get_renewed(session)
            self._step_up(answer)

    def _step_up(self, answer: Answer) -> None:
        with self._lock, self._store.lock():
            session = self._store.load()
            if session is None:
                raise _not_signed_in()
            self._store_session(self._tokens.reauthenticate(session, answer))

    def sign_out(self) -> None:
        """End the session. The stored session is deleted even if the service cannot be reached.

        Raises AuthError.
        """
        with self._lock, self._store.lock():
            session = self._store.load()
            self._clear_session()
        if session is not None:
            self._tokens.sign_out(session.refresh_token)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token to a request; if the token is refused, repeat the request once with a new one."""
        if _origin(request.url) not in self._origins:
            yield request
            return
        session = self._current()
        response = yield _with_token(request, session)
        if _is_token_refused(response):
            successor = self._get_renewed(session)
            if _is_repeatable(request):
                yield _with_token(request, successor)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Add the token to a request, as `sync_auth_flow` does.

        Blocking calls run in a thread, so that the event loop is not blocked, and so that a canceled task does
        not lose the result of a refresh.
        """
        if _origin(request.url) not in self._origins:
            yield request
            return
        session = self._usable()
        if session is None:
            session = await anyio.to_thread.run_sync(self._current)
        response = yield _with_token(request, session)
        if _is_token_refused(response):
            successor = await anyio.to_thread.run_sync(self._get_renewed, session)
            if _is_repeatable(request):
                yield _with_token(request, successor)

    def _usable(self) -> Session | None:
        """Return the session if its access token need not be renewed yet."""
        session = self._session
        return session if session is not None and time.time() < session.renew_at else None

    def _current(self) -> Session:
        """Return a session with a valid access token.

        If renewing fails, the current token is used until it expires.
        """
        session = self._usable()
        if session is not None:
            return session
        expiring = self._session
        try:
            return self._get_renewed(None)
        except AuthError as error:
            if error.needs_sign_in or expiring is None or expiring.expires_at <= time.time():
                raise
            return expiring

    def _get_renewed(self, refused: Session | None) -> Session:
        """Return a session other than the refused one. Callers that wait for a refresh get its result."""
        with self._lock:
            session = self._usable_except(refused)
            if session is not None:
                return session
            last = self._store.failure()
            with self._store.lock():
                return self._renew(refused, last)

    def _usable_except(self, refused: Session | None) -> Session | None:
        session = self._usable()
        return None if session is None or _is_same_session(session, refused) else session

    def _renew(self, refused: Session | None, last: Failure | None) -> Session:
        """Renew the session, unless another process has renewed it, or has failed since the failure `last`."""
        self._session = self._store.load()
        session = self._usable_except(refused)
        if session is not None:
            return session
        failure = self._store.failure()
        if failure is not None and (failure != last or self._store.blocking_failure()):
            raise failure.error()
        try:
            return self._refresh() or self._sign_in_with_credentials()
        except AuthError as error:
            self._remember_failure(error)
            raise

    def _refresh(self) -> Session | None:
        """Refresh the session.

        Returns None if there is no session, or if it has ended and credentials are available.
        """
        if self._session is None:
            return None
        try:
            return self._store_session(self._tokens.refresh(self._session.refresh_token, self._audience))
        except AuthError as error:
            if not error.needs_sign_in:
                raise
            self._clear_session()
            if self._credentials is None:
                raise
            return None

    def _sign_in_with_credentials(self) -> Session:
        if self._credentials is None:
            raise _not_signed_in()
        return self._store_session(self._open_session(*self._credentials()))

    def _open_session(self, username: str, password: str) -> Session:
        try:
            return self._tokens.sign_in(username, password, self._audience)
        except SecondFactorRequired as required:
            if self._second_factor is None:
                raise
            challenge = required.challenge
        return self._tokens.complete_sign_in(challenge, self._second_factor(challenge))

    def _store_session(self, session: Session) -> Session:
        self._store.save(session)
        self._store.allow_requests()
        self._session = session
        return session

    def _clear_session(self) -> None:
        self._store.save(None)
        self._session = None

    def _remember_failure(self, error: AuthError) -> None:
        """Share the error with all callers until the service may be called again."""
        if error.may_pass:
            pause = BACKOFF if error.retry_after is None else error.retry_after
            self._store.record_failure(Failure.of(error, pause))


def _not_signed_in() -> AuthError:
    return AuthError("not_signed_in", "There is no session. Sign in first.")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _with_token(request: httpx.Request, session: Session) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {session.access_token}"
    return request


def _is_token_refused(response: httpx.Response) -> bool:
    """Return whether the access token was refused (RFC 6750 section 3.1). Some services send no challenge."""
    challenge = response.headers.get("www-authenticate")
    return response.status_code == httpx.codes.UNAUTHORIZED and (challenge is None or "invalid_token" in challenge)


def _is_repeatable(request: httpx.Request) -> bool:
    """Return whether the request can be repeated: the body of a stream is consumed."""
    return isinstance(request.stream, httpx.ByteStream)


def _is_same_session(one: Session, other: Session | None) -> bool:
    return other is not None and one.access_token == other.access_token
