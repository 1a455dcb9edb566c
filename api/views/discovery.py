"""Discovery: public keys and metadata of the issuer for other services, and origins of passkeys for browsers."""

from typing import Any

from django.urls import get_script_prefix, reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.conf import auth_settings
from accounts.errors import NotFound
from accounts.factors import relying_party
from accounts.keys.key_ring import key_ring
from accounts.keys.rotation import JWKS_MAX_AGE
from accounts.sso import id_tokens, userinfo
from accounts.sso.authorization_requests import CHALLENGE_METHOD, PROMPTS
from accounts.tokens import access_tokens, signing
from accounts.values.authentication import LEVELS
from api.openapi.error_responses import error_responses
from api.serializers.oauth import MetadataOutput
from api.serializers.outputs import KeySetOutput, RelatedOriginsOutput
from api.views.base import AnyOriginView, PublicView

METADATA_MAX_AGE = 3600  # seconds

_SECRET_METHODS = ["client_secret_basic", "client_secret_post"]
_ID_TOKEN_CLAIMS = ("iss", "aud", "iat", "exp", "auth_time", "acr", "amr", "sid", "nonce", "at_hash")


class KeySet(AnyOriginView, PublicView):
    """The public keys for services that verify access tokens."""

    @extend_schema(
        operation_id="keys",
        summary="Get the public keys",
        responses=KeySetOutput,
        extensions=error_responses(),
    )
    def get(self, request: Request) -> Response:
        """Return the JWK set (RFC 7517)."""
        self.headers["Cache-Control"] = f"public, max-age={JWKS_MAX_AGE}"
        return Response(key_ring().jwks())


class Metadata(PublicView):
    """The issuer's metadata, for services that know only the issuer's URL."""

    @extend_schema(
        operation_id="metadata",
        summary="Get the issuer's metadata",
        responses=MetadataOutput,
        extensions=error_responses(),
    )
    def get(self, request: Request) -> Response:
        """Return the authorization server metadata (RFC 8414 section 2)."""
        self.headers["Cache-Control"] = f"public, max-age={METADATA_MAX_AGE}"
        return Response(_metadata(request))


class ProviderMetadata(AnyOriginView, PublicView):
    """The metadata of the OpenID Provider, for applications."""

    @extend_schema(
        operation_id="providerMetadata",
        summary="Get the metadata of the OpenID Provider",
        responses=MetadataOutput,
        extensions=error_responses(NotFound()),
    )
    def get(self, request: Request) -> Response:
        """Return the same facts as the metadata. With HS256, there is no document."""
        if not id_tokens.are_available():
            raise NotFound
        self.headers["Cache-Control"] = f"public, max-age={METADATA_MAX_AGE}"
        return Response(_metadata(request))


def _metadata(request: Request) -> dict[str, Any]:
    issuer, base = access_tokens.issuer(), _base_url(request)
    metadata = {
        "issuer": issuer,
        "jwks_uri": base + reverse("keys"),
        "introspection_endpoint": base + reverse("introspection"),
        "introspection_endpoint_auth_methods_supported": _SECRET_METHODS,
        "revocation_endpoint": base + reverse("revocation"),
        "revocation_endpoint_auth_methods_supported": [*_SECRET_METHODS, "none"],
        "service_documentation": base + reverse("docs"),
        "acr_values_supported": [str(level) for level in LEVELS],
    }
    return {**metadata, **_provider_metadata(base)} if id_tokens.are_available() else metadata


def _provider_metadata(base: str) -> dict[str, Any]:
    """Return the facts about single sign-on (OpenID Connect Discovery section 3)."""
    return {
        "authorization_endpoint": base + reverse("authorize"),
        "token_endpoint": base + reverse("token"),
        "token_endpoint_auth_methods_supported": [*_SECRET_METHODS, "none"],
        "userinfo_endpoint": base + reverse("userinfo"),
        "end_session_endpoint": base + reverse("sign-out-page"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": [CHALLENGE_METHOD],
        "scopes_supported": list(userinfo.SCOPES),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [signing.algorithm()],
        "claims_supported": [*_ID_TOKEN_CLAIMS, *userinfo.CLAIMS],
        "prompt_values_supported": list(PROMPTS),
        "authorization_response_iss_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
    }


def _base_url(request: Request) -> str:
    issuer = access_tokens.issuer()
    base_url = issuer if issuer.startswith(("https://", "http://")) else auth_settings().public_url
    base = (base_url or request.build_absolute_uri("/")).rstrip("/")
    # `reverse` begins with the prefix of FORCE_SCRIPT_NAME, which the issuer may end with.
    return base.removesuffix(get_script_prefix().rstrip("/"))


class RelatedOrigins(PublicView):
    """The origins of passkeys, for browsers."""

    @extend_schema(
        operation_id="relatedOrigins",
        summary="Get the origins that may use passkeys",
        responses=RelatedOriginsOutput,
        extensions=error_responses(NotFound()),
    )
    def get(self, request: Request) -> Response:
        """Return the origins (WebAuthn Level 3 section 5.11). With a single one, there is no document."""
        origins = relying_party.origins()
        if len(origins) == 1:
            raise NotFound
        self.headers["Cache-Control"] = f"public, max-age={METADATA_MAX_AGE}"
        return Response({"origins": origins})
