"""Signs requests with an access token, and gets another one in time: once, whoever else needs it too."""

import copy
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Generator

import anyio.to_thread
import httpx

from authclient.errors import AuthError
from authclient.stores import MemoryStore, Session, Store
from authclient.tokens import BACKOFF, TokenClient

Credentials = Callable[[], tuple[str, str]]


class Auth(httpx.Auth):
    """Keeps any number of httpx clients, threads and tasks signed in with one session.

    `url` is where the service is reached, `store` where the session is kept. `credentials` is asked for username
    and password when there is no session, or it is over; without it, that is an AuthError. The token is sent to
    `url`'s origin and those of `services`, and to nobody else. `audience` asks for tokens for one service alone.
    `http` speaks to the service about tokens, where that needs a proxy or certificates of its own.
    """

    def __init__(  # noqa: PLR0913  each is a choice of its own, by name
        self,
        url: str,
        *,
        store: Store | None = None,
        credentials: Credentials | None = None,
        services: Collection[str] = (),
        audience: str | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._tokens = TokenClient(url, http)
        self._store = store or MemoryStore()
        self._credentials = credentials
        self._origins = {_origin(httpx.URL(text)) for text in (url, *services)}
        self._audience = audience
        self._session = self._store.load()
        self._lock = threading.Lock()
        self._failure: AuthError | None = None
        self._failure_until = 0.0

    def sign_in(self, username: str, password: str) -> None:
        """Open a session and keep it, in place of any other.

        Raises AuthError.
        """
        session = self._tokens.sign_in(username, password, self._audience)
        with self._lock, self._store.lock():
            self._store_session(session)

    def reauthenticate(self, password: str) -> None:
        """Confirm the password, for what needs a recent authentication.

        Raises AuthError.
        """
        self._current()
        with self._lock, self._store.lock():
            session = self._store.load()
            if session is None:
                raise _not_signed_in()
            self._store_session(self._tokens.reauthenticate(session, password))

    def sign_out(self) -> None:
        """End the session, and forget it also where the service cannot be told.

        Raises AuthError.
        """
        with self._lock, self._store.lock():
            session = self._store.load()
            self._clear_session()
        if session is not None:
            self._tokens.sign_out(session.refresh_token)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign a request; where the token is refused, once more with another one."""
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
        """Sign a request, as the synchronous flow does.

        What waits does so in a thread: the event loop goes on, and a task that is cancelled meanwhile leaves no
        refresh behind whose answer nobody kept.
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
        """Return the session, if its access token need not be replaced yet."""
        session = self._session
        return session if session is not None and time.time() < session.renew_at else None

    def _current(self) -> Session:
        """Return a session with a good access token; one about to expire will do if no other is to be had."""
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
        """Return a session other than the refused one; who comes while another refreshes gets what that got."""
        with self._lock:
            session = self._usable_except(refused)
            if session is not None:
                return session
            if self._failure is not None and time.time() < self._failure_until:
                raise copy.copy(self._failure)
            try:
                with self._store.lock():
                    return self._renew(refused)
            except AuthError as error:
                self._remember_failure(error)
                raise

    def _usable_except(self, refused: Session | None) -> Session | None:
        session = self._usable()
        return None if session is None or _is_same_session(session, refused) else session

    def _renew(self, refused: Session | None) -> Session:
        self._session = self._store.load()
        return self._usable_except(refused) or self._refresh() or self._sign_in_with_credentials()

    def _refresh(self) -> Session | None:
        """Refresh; None where there is nothing to refresh, or the session is over and can be opened anew."""
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
        return self._store_session(self._tokens.sign_in(*self._credentials(), self._audience))

    def _store_session(self, session: Session) -> Session:
        self._store.save(session)
        self._session, self._failure = session, None
        return session

    def _clear_session(self) -> None:
        self._store.save(None)
        self._session = None

    def _remember_failure(self, error: AuthError) -> None:
        """Leave the service alone for as long as it asks, whoever asks here: they get the same answer at once."""
        if error.may_pass:
            self._failure = error
            self._failure_until = time.time() + (BACKOFF if error.retry_after is None else error.retry_after)


def _not_signed_in() -> AuthError:
    return AuthError("not_signed_in", "There is no session. Sign in first.")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _with_token(request: httpx.Request, session: Session) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {session.access_token}"
    return request


def _is_token_refused(response: httpx.Response) -> bool:
    """Tell whether the access token is to blame (RFC 6750 section 3.1); some services do not say why."""
    challenge = response.headers.get("www-authenticate")
    return response.status_code == httpx.codes.UNAUTHORIZED and (challenge is None or "invalid_token" in challenge)


def _is_repeatable(request: httpx.Request) -> bool:
    """Tell whether the body is still there: one that was a stream is gone."""
    return isinstance(request.stream, httpx.ByteStream)


def _is_same_session(one: Session, other: Session | None) -> bool:
    return other is not None and one.access_token == other.access_token
