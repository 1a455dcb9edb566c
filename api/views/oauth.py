"""The token endpoint of OAuth 2.0 (RFC 6749 section 3.2), and the userinfo endpoint of OpenID Connect."""

from collections.abc import Callable, Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import (
    InvalidClient,
    RefreshTokenExpired,
    RefreshTokenReused,
    RefreshTokenRevoked,
    RefreshTokenUnknown,
)
from accounts.models import Application
from accounts.oauth_errors import (
    InsufficientScope,
    InvalidGrant,
    InvalidTarget,
    UnauthorizedClient,
    UnsupportedGrantType,
)
from accounts.sessions import rotation, services
from accounts.sessions.lifecycle import TokenPair
from accounts.sso import applications, codes, service_tokens, userinfo
from accounts.tokens.access_tokens import AccessToken
from api.authentication import AnyAudienceAuthentication, claims_of
from api.http.client_credentials import ClientCredentials, read_credentials
from api.openapi.error_responses import (
    ACCESS_TOKEN_SECURITY,
    BODY_ERRORS,
    CHANGE_ERRORS,
    CLIENT_SECURITY,
    THROTTLED,
    TOKEN_ERRORS,
    error_responses,
)
from api.serializers.oauth import GrantInput, GrantOutput, UserInfoOutput
from api.views.base import AnyOriginView, OAuthView, client_of, read_body, user_of

_REFRESH_ERRORS = (RefreshTokenUnknown, RefreshTokenExpired, RefreshTokenReused, RefreshTokenRevoked)

_Fields = Mapping[str, Any]


class Token(AnyOriginView, OAuthView):
    """Issues tokens to applications and services."""

    @extend_schema(
        operation_id="token",
        summary="Exchange a code, a refresh token or a service's credentials for tokens",
        request=GrantInput,
        responses={200: GrantOutput},
        auth=CLIENT_SECURITY,
        extensions=error_responses(
            InvalidClient(),
            InvalidGrant(),
            InvalidTarget(),
            UnauthorizedClient(),
            UnsupportedGrantType(),
            *BODY_ERRORS,
            THROTTLED,
        ),
    )
    def post(self, request: Request) -> Response:
        """Return the tokens. An application authenticates with its secret, if it has one, else with its id."""
        body = {name: value for name, value in read_body(GrantInput, request).items() if value != ""}
        grant = _GRANTS.get(_required(body, "grant_type"))
        if grant is None:
            raise UnsupportedGrantType
        return Response(grant(request, body))


class UserInfo(AnyOriginView):
    """The claims about the user of an application's access token."""

    authentication_classes = (AnyAudienceAuthentication,)

    @extend_schema(
        operation_id="userInfo",
        summary="Get the claims that the scope of an access token asks for",
        request=None,
        responses={200: UserInfoOutput},
        auth=ACCESS_TOKEN_SECURITY,
        extensions=error_responses(*TOKEN_ERRORS, InsufficientScope()),
    )
    def get(self, request: Request) -> Response:
        """Return the claims (OpenID Connect Core section 5.3)."""
        return Response(userinfo.of(claims_of(request), user_of(request)))

    @extend_schema(
        operation_id="userInfoByPost",
        summary="Get the claims that the scope of an access token asks for, by POST",
        request=None,
        responses={200: UserInfoOutput},
        auth=ACCESS_TOKEN_SECURITY,
        extensions=error_responses(*CHANGE_ERRORS, InsufficientScope()),
    )
    def post(self, request: Request) -> Response:
        """Return the claims, as GET does."""
        return self.get(request)


def _exchange_code(request: Request, body: _Fields) -> dict[str, Any]:
    application = _authenticate_application(request, body)
    code, redirect_uri = _required(body, "code"), _required(body, "redirect_uri")
    verifier = _required(body, "code_verifier")
    issued = codes.exchange(application, code, redirect_uri, verifier, client_of(request))
    return {**_pair(issued.pair), "scope": issued.scope, "id_token": issued.id_token}


def _refresh(request: Request, body: _Fields) -> dict[str, Any]:
    """Rotate a refresh token. The scope stays that of the sign-in, whatever the request asks for.

    Raises InvalidGrant.
    """
    application = _authenticate_application(request, body)
    refresh_token = _required(body, "refresh_token")
    audience = applications.select_audience(application, body.get("audience"))
    client_id = application.client_id
    try:
        pair = rotation.rotate(refresh_token, client_of(request), audience=audience, client_id=client_id)
    except _REFRESH_ERRORS as error:
        raise InvalidGrant(error.message) from None
    return {**_pair(pair), "scope": pair.access.claims["scope"]}


def _issue_to_service(request: Request, body: _Fields) -> dict[str, Any]:
    credentials = read_credentials(request, body)
    service = services.authenticate(credentials.client_id, credentials.secret or "")
    return _access(service_tokens.issue(service, body.get("audience")))


def _authenticate_application(request: Request, body: _Fields) -> Application:
    credentials: ClientCredentials = read_credentials(request, body)
    return applications.authenticate(credentials.client_id, credentials.secret, client_of(request))


def _required(body: _Fields, name: str) -> str:
    if name not in body:
        raise ValidationError({name: ["This field is required."]})
    return str(body[name])


def _access(access: AccessToken) -> dict[str, Any]:
    return {"access_token": access.text, "token_type": "Bearer", "expires_in": access.expires_in}


def _pair(pair: TokenPair) -> dict[str, Any]:
    return {
        **_access(pair.access),
        "refresh_token": pair.refresh_token,
        "refresh_expires_in": pair.refresh_expires_in,
    }


_GRANTS: Mapping[str, Callable[[Request, _Fields], dict[str, Any]]] = {
    "authorization_code": _exchange_code,
    "refresh_token": _refresh,
    "client_credentials": _issue_to_service,
}
