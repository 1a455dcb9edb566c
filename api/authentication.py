"""Authenticate a request by its access token: where the token is read from, and what is validated."""

from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.http import HttpRequest, QueryDict
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.conf import auth_settings
from accounts.errors import AuthError, InvalidRequest, TokenInvalid, TokenMissing
from accounts.models import User
from accounts.sessions import lifecycle
from accounts.sso import service_tokens
from accounts.tokens import access_tokens
from accounts.tokens.claims import AccessClaims
from api.errors import Refusal
from api.http import cookies, csrf
from api.http.challenges import BEARER

FORM_MEDIA_TYPE = "application/x-www-form-urlencoded"
FORM_FIELD = "access_token"
VARY = ("Authorization", "x-access-token", "Cookie")
"""The request headers that a response depends on once the request has been authenticated."""


class AccessTokenAuthentication(BaseAuthentication):
    """Authenticates by access token: `Authorization: Bearer` (RFC 6750), `x-access-token`, cookie or form field.

    The form field needs AUTH_FORM_TOKEN. `request.user` is the user and `request.auth` the token's `AccessClaims`;
    without a token, both are None.
    """

    verify: ClassVar[Callable[..., AccessClaims]] = staticmethod(access_tokens.verify)

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Validate the token, its session, its owner and its version; return the user and the claims.

        Raises Refusal for InvalidRequest, CsrfFailed, TokenInvalid, TokenExpired, TokenRevoked or TokenStale.
        """
        _vary_response(request)
        try:
            return _authenticate(request, self.verify)
        except AuthError as error:
            raise Refusal(error) from None

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge for `WWW-Authenticate`."""
        return BEARER


class AnyAudienceAuthentication(AccessTokenAuthentication):
    """Authenticates by an access token for any service of AUTH_AUDIENCE, as userinfo must."""

    verify = staticmethod(access_tokens.verify_for_any)


class UserOrServiceAuthentication(AccessTokenAuthentication):
    """Authenticates users, and registered services by a token of their own, in a header.

    For a service, `request.user` is None and `request.auth` its `ServiceClaims`. All other views refuse such
    tokens.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Return the user and the claims of a user's token, or None and the claims of a service's token.

        Raises Refusal, as the base class does.
        """
        try:
            return super().authenticate(request)
        except Refusal as refusal:
            if not isinstance(refusal.error, TokenInvalid) or is_cookie_authenticated(request):
                raise
        try:
            token = find_access_token(request) or ""
            return None, service_tokens.verify(token, auth_settings().audience[0])
        except AuthError as error:
            raise Refusal(error) from None


def _vary_response(request: Request | HttpRequest) -> None:
    """Have the view's response name the headers in `Vary` that a token can be in.

    A cache would otherwise return one user's response to others. Django's and other caches only know of
    `Authorization` (RFC 9111 section 3.5), and Django's session middleware only of its own cookie.
    """
    view: Any = request.parser_context.get("view") if isinstance(request, Request) else None
    # Without headers while a schema is generated. This API's own responses are never stored.
    headers = getattr(view, "headers", None)
    if headers is None or "no-store" in headers.get("Cache-Control", ""):
        return
    names = [headers["Vary"]] if "Vary" in headers else []
    view.headers = {**headers, "Vary": ", ".join((*names, *VARY))}


def _authenticate(request: Request, verify: Callable[..., AccessClaims]) -> tuple[User, AccessClaims] | None:
    token = find_access_token(request)
    if token is None:
        return None
    if request.method not in csrf.SAFE_METHODS and is_cookie_authenticated(request):
        csrf.require_csrf_token(request)
    claims = verify(token, at=timezone.now())
    user = lifecycle.check(claims)
    return user, lifecycle.with_roles(claims, user)


def claims_of(request: Request) -> AccessClaims:
    """Return the claims of the request's access token.

    Raises Refusal for TokenMissing if the request was authenticated in another way, or not at all.
    """
    if not isinstance(request.auth, AccessClaims):
        raise Refusal(TokenMissing())
    return request.auth


def find_access_token(request: Request) -> str | None:
    """Return the request's access token, or None.

    Raises InvalidRequest if the request has two different tokens or repeats a header.
    """
    tokens = {*_explicit_tokens(request), *cookies.access_tokens_in(request)}
    if len(tokens) > 1:
        raise InvalidRequest("The request has two different access tokens. Send one.")
    return tokens.pop() if tokens else None


def is_cookie_authenticated(request: Request) -> bool:
    """Return whether the token, if any, comes from a cookie, which a browser adds to any page's request."""
    return not _explicit_tokens(request)


def _explicit_tokens(request: Request) -> list[str]:
    headers = request.META
    return [
        *_bearer_tokens(headers.get("HTTP_AUTHORIZATION", "")),
        *_single_token(headers.get("HTTP_X_ACCESS_TOKEN", ""), "x-access-token"),
        *_form_tokens(request),
    ]


def _bearer_tokens(header: str) -> list[str]:
    scheme, _, credentials = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return _single_token(credentials, "Authorization")
    # A malformed header, or one joined with another: the client meant to send a token, so do not ignore it.
    return _single_token(header, "Authorization") if "bearer" in header.lower() else []


def _form_tokens(request: Request | HttpRequest) -> list[str]:
    # `AccessTokenMiddleware` passes Django's request: the body is for the view to read.
    if not isinstance(request, Request) or not auth_settings().form_token:
        return []
    if request.content_type.partition(";")[0].strip().lower() != FORM_MEDIA_TYPE:
        return []
    values = cast("QueryDict", request.data).getlist(FORM_FIELD)
    if len(values) > 1:
        raise InvalidRequest(f"The field {FORM_FIELD} must not be repeated.")
    return [value for value in values if value]


def _single_token(value: str, header: str) -> list[str]:
    """Return the token of a header as a list of at most one. Servers join repeated headers with a comma."""
    if "," in value:
        raise InvalidRequest(f"The header {header} must not be repeated.")
    return [value.strip()] if value.strip() else []
