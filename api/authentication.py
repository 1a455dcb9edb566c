"""Finds the access token of a request and the user whom it stands for."""

from typing import cast

from django.http import QueryDict
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.conf import auth_settings
from accounts.errors import InvalidRequest, TokenMissing
from accounts.models import User
from accounts.sessions import lifecycle
from accounts.tokens import access_tokens
from accounts.tokens.claims import AccessClaims
from api.errors import CHALLENGE
from api.http import cookies, csrf

FORM_MEDIA_TYPE = "application/x-www-form-urlencoded"
FORM_FIELD = "access_token"


class AccessTokenAuthentication(BaseAuthentication):
    """Takes `Authorization: Bearer` (RFC 6750), `x-access-token`, a cookie, and where switched on a form field.

    `request.user` is the user, `request.auth` the token's `AccessClaims`; both are None without a token.
    """

    def authenticate(self, request: Request) -> tuple[User, AccessClaims] | None:
        """Check the token, its session, owner and version.

        Raises InvalidRequest, CsrfFailed, TokenInvalid, TokenExpired, TokenRevoked or TokenStale.
        """
        token = find_access_token(request)
        if token is None:
            return None
        if request.method not in csrf.SAFE_METHODS and is_cookie_authenticated(request):
            csrf.require_csrf_token(request)
        claims = access_tokens.verify(token, at=timezone.now())
        return lifecycle.check(claims), claims

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme for 401 answers."""
        return CHALLENGE


def claims_of(request: Request) -> AccessClaims:
    """Return what the access token of a request says.

    Raises TokenMissing.
    """
    if request.auth is None:
        raise TokenMissing
    return cast("AccessClaims", request.auth)


def find_access_token(request: Request) -> str | None:
    """Return the one access token that a request carries.

    Raises InvalidRequest where it carries two different ones, or one header twice.
    """
    tokens = {*_explicit_tokens(request), *cookies.access_tokens_in(request)}
    if len(tokens) > 1:
        raise InvalidRequest("The request carries two different access tokens. Allowed: one.")
    return tokens.pop() if tokens else None


def is_cookie_authenticated(request: Request) -> bool:
    """Tell whether a browser added the token by itself: no script or client put one there."""
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
    # Joined with another header, or misspelled: either way a token was meant.
    return _single_token(header, "Authorization") if "bearer" in header.lower() else []


def _form_tokens(request: Request) -> list[str]:
    if not auth_settings().form_token or request.content_type.partition(";")[0].strip().lower() != FORM_MEDIA_TYPE:
        return []
    values = cast("QueryDict", request.data).getlist(FORM_FIELD)
    if len(values) > 1:
        raise InvalidRequest(f"The field {FORM_FIELD} stands there twice. Allowed: once.")
    return [value for value in values if value]


def _single_token(value: str, header: str) -> list[str]:
    """Return the token of a header, if there is one. Servers join a header that comes twice with a comma."""
    if "," in value:
        raise InvalidRequest(f"The header {header} stands there twice. Allowed: once.")
    return [value.strip()] if value.strip() else []
