"""FastAPI dependencies that return the verified access token of a request.

app = FastAPI()
add_error_handlers(app)
bearer = AccessTokenBearer(Verifier("https://auth.example.com", audience="orders"))

@app.get("/orders")
async def orders(token: Annotated[AccessToken, Depends(bearer)]): ...

@app.delete("/orders")
async def delete(token: Annotated[AccessToken, Depends(bearer.with_roles("moderator"))]): ...
"""

from typing import Self

import anyio.to_thread
from fastapi import FastAPI, HTTPException, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.responses import JSONResponse, Response
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase

from authclient.logout import MAX_BODY, LogoutReceiver
from authclient.refusals import Refused, TokenInvalid, TokenMissing
from authclient.verifier import AccessToken, Verifier, parse_bearer


class RefusedRequest(HTTPException):
    """The response to a request without a usable token."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.status, refused.body, refused.headers)


class AccessTokenBearer(SecurityBase):
    """A dependency that verifies `Authorization: Bearer` (RFC 6750) and requires all of `roles`.

    With `Security(bearer, scopes=[…])`, it requires these scopes too. With `max_age`, the user must have entered
    the password within that many seconds, and with `level` 2, a second factor (RFC 9470). The event loop is not
    blocked while keys are fetched.
    """

    def __init__(
        self, verifier: Verifier, *, roles: tuple[str, ...] = (), max_age: int | None = None, level: int = 1
    ) -> None:
        self.model = HTTPBearer(bearerFormat="JWT")
        self.scheme_name = "AccessToken"
        self._verifier = verifier
        self._roles = roles
        self._max_age = max_age
        self._level = level

    def with_roles(self, *roles: str) -> Self:
        """Return a dependency that requires these roles as well."""
        roles = (*self._roles, *roles)
        return type(self)(self._verifier, roles=roles, max_age=self._max_age, level=self._level)

    def with_max_age(self, max_age: int) -> Self:
        """Return a dependency that requires an authentication within the last `max_age` seconds as well."""
        return type(self)(self._verifier, roles=self._roles, max_age=max_age, level=self._level)

    def with_level(self, level: int) -> Self:
        """Return a dependency that requires this level of authentication as well: 2 is a second factor."""
        return type(self)(self._verifier, roles=self._roles, max_age=self._max_age, level=level)

    async def __call__(self, request: Request, required: SecurityScopes) -> AccessToken:
        """Return the verified token.

        Raises RefusedRequest with 401, 403 or 503.
        """
        try:
            token = await self._verifier.verify_async(_bearer_token(request))
            self._check_rights(token, required.scopes)
        except Refused as refused:
            raise RefusedRequest(refused) from None
        return token

    def _check_rights(self, token: AccessToken, scopes: list[str]) -> None:
        for role in self._roles:
            token.require_role(role)
        for scope in scopes:
            token.require_scope(scope)
        if self._max_age is not None:
            token.require_recent_authentication(self._max_age)
        token.require_level(self._level)


def add_error_handlers(app: FastAPI) -> None:
    """Respond to refused requests with `{message, code}`, as the token service does.

    Without it, both are in FastAPI's `detail`.
    """

    @app.exception_handler(RefusedRequest)
    async def render_request(_: Request, error: RefusedRequest) -> JSONResponse:
        return JSONResponse(error.detail, error.status_code, error.headers)

    @app.exception_handler(Refused)
    async def render(_: Request, error: Refused) -> JSONResponse:
        return JSONResponse(error.body, error.status, error.headers)


def add_logout_endpoint(app: FastAPI, receiver: LogoutReceiver, path: str = "/backchannel-logout") -> None:
    """Receive logout tokens at a path, the back-channel logout URI of your application."""

    @app.post(path, include_in_schema=False)
    async def receive_logout(request: Request) -> Response:
        response = await anyio.to_thread.run_sync(receiver.receive, await _read_body(request))
        return Response(response.body, response.status, response.headers)


async def _read_body(request: Request) -> bytes:
    """Return the body of a request, or what was read of one that is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            break
    return body


def _bearer_token(request: Request) -> str:
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:
        raise TokenInvalid
    token = parse_bearer(headers[0]) if headers else None
    if token is None:
        raise TokenMissing
    return token
