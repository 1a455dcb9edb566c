"""The fields of the token endpoint, of userinfo and of discovery. Their names are those of the RFCs."""

from typing import Any

from rest_framework import serializers

from api.openapi.schema import with_example
from api.serializers.inputs import ACCESS_TOKEN, REFRESH_TOKEN, StringField


class OptionalField(StringField):
    """A parameter that may be left out, empty or null (RFC 6749 section 3.2)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, **options})


def _names(**options: Any) -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField(), **options)


@with_example(
    grant_type="authorization_code",
    client_id="shop",
    code="authcode_Zx3kPq0v8mA7bW…",
    redirect_uri="https://shop.example.com/callback",
    code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
)
class GrantInput(serializers.Serializer[Any]):
    """The parameters of a grant: `authorization_code`, `refresh_token` or `client_credentials`."""

    grant_type = OptionalField()
    client_id = OptionalField()
    client_secret = OptionalField(write_only=True)
    code = OptionalField(write_only=True)
    redirect_uri = OptionalField()
    code_verifier = OptionalField(write_only=True)
    refresh_token = OptionalField(write_only=True)
    scope = OptionalField()
    audience = OptionalField()


@with_example(
    access_token=ACCESS_TOKEN,
    token_type="Bearer",  # noqa: S106
    expires_in=900,
    refresh_token=REFRESH_TOKEN,
    refresh_expires_in=86400,
    scope="openid profile",
    id_token=ACCESS_TOKEN,
)
class GrantOutput(serializers.Serializer[Any]):
    """The tokens of a grant. A service gets only an access token, and a refresh brings no ID token."""

    access_token = serializers.CharField()
    token_type = serializers.ChoiceField(["Bearer"])
    expires_in = serializers.IntegerField()
    refresh_token = serializers.CharField(required=False)
    refresh_expires_in = serializers.IntegerField(required=False)
    scope = serializers.CharField(required=False)
    id_token = serializers.CharField(required=False)


@with_example(sub="1", name="Alice A.", preferred_username="alice", email="alice@example.com", email_verified=True)
class UserInfoOutput(serializers.Serializer[Any]):
    """The claims about a user that the scope asks for."""

    sub = serializers.CharField()
    name = serializers.CharField(required=False)
    preferred_username = serializers.CharField(required=False)
    locale = serializers.CharField(required=False)
    email = serializers.CharField(required=False)
    email_verified = serializers.BooleanField(required=False)


@with_example(
    issuer="https://auth.example.com",
    jwks_uri="https://auth.example.com/.well-known/jwks.json",
    introspection_endpoint="https://auth.example.com/api/oauth/introspect",
    introspection_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
    revocation_endpoint="https://auth.example.com/api/oauth/revoke",
    revocation_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post", "none"],
    service_documentation="https://auth.example.com/api/docs",
    acr_values_supported=["1", "2"],
    authorization_endpoint="https://auth.example.com/authorize",
    token_endpoint="https://auth.example.com/api/oauth/token",  # noqa: S106
    userinfo_endpoint="https://auth.example.com/api/oauth/userinfo",
    end_session_endpoint="https://auth.example.com/signout",
)
class MetadataOutput(serializers.Serializer[Any]):
    """The metadata of an authorization server (RFC 8414 section 2) and OpenID Provider (Discovery section 3).

    With AUTH_ALGORITHM=HS256, the fields from `authorization_endpoint` are absent: there is no OpenID Provider.
    """

    issuer = serializers.CharField()
    jwks_uri = serializers.CharField()
    introspection_endpoint = serializers.CharField()
    introspection_endpoint_auth_methods_supported = _names()
    revocation_endpoint = serializers.CharField()
    revocation_endpoint_auth_methods_supported = _names()
    service_documentation = serializers.CharField()
    acr_values_supported = _names()
    authorization_endpoint = serializers.CharField(required=False)
    token_endpoint = serializers.CharField(required=False)
    token_endpoint_auth_methods_supported = _names(required=False)
    userinfo_endpoint = serializers.CharField(required=False)
    end_session_endpoint = serializers.CharField(required=False)
    response_types_supported = _names(required=False)
    response_modes_supported = _names(required=False)
    grant_types_supported = _names(required=False)
    code_challenge_methods_supported = _names(required=False)
    scopes_supported = _names(required=False)
    subject_types_supported = _names(required=False)
    id_token_signing_alg_values_supported = _names(required=False)
    claims_supported = _names(required=False)
    prompt_values_supported = _names(required=False)
    authorization_response_iss_parameter_supported = serializers.BooleanField(required=False)
    backchannel_logout_supported = serializers.BooleanField(required=False)
    backchannel_logout_session_supported = serializers.BooleanField(required=False)
    request_parameter_supported = serializers.BooleanField(required=False)
    request_uri_parameter_supported = serializers.BooleanField(required=False)
    claims_parameter_supported = serializers.BooleanField(required=False)
