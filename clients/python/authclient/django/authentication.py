"""Authentication by access tokens of the token service. Keys are found through the issuer's metadata (RFC 8414).

AUTH_SERVICE = {
    "issuer": "https://auth.example.com",
    "audience": "orders",
    "user": "authclient.django.linking.by_subject",
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["authclient.django.authentication.AccessTokenAuthentication"],
    "EXCEPTION_HANDLER": "authclient.django.errors.render_error",
}

`user` is the path of a function that returns the user of an `AccessToken`. Without it, `request.user` is a
`authclient.django.users.TokenUser`. `request.auth` is the `AccessToken`.

`decryption_keys` is the parsed JWK set that the token service's show_encryption_key prints. Without it, encrypted
tokens are refused.

With `client_id`, tokens of sessions whose end `authclient.django.logout` has received are refused.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import jwt
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from authclient.django.conf import service_settings
from authclient.django.ended_sessions import CacheEndedSessions, ended_sessions
from authclient.refusals import CHALLENGE
from authclient.verifier import AccessToken, IssuerUnavailable, Refused, TokenInvalid, Verifier, parse_bearer

_DEFAULT_USER = "authclient.django.users.from_token"


class Unavailable(APIException):
    """The issuer is unreachable, and its keys are unknown or too old to be used."""

    status_code = IssuerUnavailable.status
    default_code = IssuerUnavailable.code
    default_detail = IssuerUnavailable.message
    wait = 5
    """Seconds for `Retry-After`."""


class AccountInactive(PermissionDenied):
    """The project has deactivated the user of the token."""

    default_code = "account_inactive"
    default_detail = "This account is deactivated."


class AccessTokenAuthentication(BaseAuthentication):
    """Authenticates by `Authorization: Bearer` (RFC 6750)."""

    def authenticate(self, request: Request) -> tuple[Any, AccessToken] | None:
        """Verify the token; return the user and the token.

        Raises AuthenticationFailed, AccountInactive or Unavailable.
        """
        text = _bearer_token(request)
        if text is None:
            return None
        token = _verify(text)
        user = self.get_user(token)
        if not user.is_active:
            raise AccountInactive
        return user, token

    def get_user(self, token: AccessToken) -> Any:
        """Return the user of a token, by the function that AUTH_SERVICE names."""
        find_user: Callable[[AccessToken], Any] = import_string(service_settings().get("user", _DEFAULT_USER))
        return find_user(token)

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge for `WWW-Authenticate`. With `invalid_token`, clients refresh their token."""
        return CHALLENGE if _bearer_token(request) is None else f'{CHALLENGE}, error="invalid_token"'


class TransitionalAuthentication(AccessTokenAuthentication):
    """Authentication for a move to the token service: leaves other tokens to the classes after it."""

    def authenticate(self, request: Request) -> tuple[Any, AccessToken] | None:
        """Verify the token as AccessTokenAuthentication does if it says that it is an access token (RFC 9068)."""
        text = _bearer_token(request)
        return super().authenticate(request) if text is not None and _is_access_token(text) else None


def _bearer_token(request: Request) -> str | None:
    return parse_bearer(request.META.get("HTTP_AUTHORIZATION"))


def _is_access_token(text: str) -> bool:
    try:
        return jwt.get_unverified_header(_verifier().decrypt(text)).get("typ") == "at+jwt"
    except (jwt.PyJWTError, ValueError, TokenInvalid):
        return False


def _verify(text: str) -> AccessToken:
    try:
        return _verifier().verify(text)
    except IssuerUnavailable:
        raise Unavailable from None
    except Refused as refused:
        raise AuthenticationFailed(refused.message, refused.code) from None


def _verifier() -> Verifier:
    service = service_settings()
    # A dictionary cannot be a key of the cache. Values that JSON does not have are refused as no JWK set.
    keys = json.dumps(service.get("decryption_keys"), default=repr)
    return _create_verifier(service["issuer"], service["audience"], keys, ended_sessions())


@cache
def _create_verifier(issuer: str, audience: str, keys: str, ended: CacheEndedSessions | None) -> Verifier:
    try:
        return Verifier(issuer, audience=audience, decryption_keys=json.loads(keys), ended_sessions=ended)
    except ValueError as error:
        raise ImproperlyConfigured(f"AUTH_SERVICE: {error}") from None
