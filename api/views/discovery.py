"""Discovery: public keys and metadata of the issuer for other services, and origins of passkeys for browsers."""

from django.urls import get_script_prefix, reverse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.conf import auth_settings
from accounts.errors import NotFound
from accounts.factors import relying_party
from accounts.keys.key_ring import key_ring
from accounts.keys.rotation import JWKS_MAX_AGE
from accounts.tokens import access_tokens
from accounts.values.authentication import LEVELS
from api.openapi.error_responses import error_responses
from api.serializers.outputs import KeySetOutput, MetadataOutput, RelatedOriginsOutput
from api.views.base import PublicView

METADATA_MAX_AGE = 3600  # seconds


class KeySet(PublicView):
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
        issuer = access_tokens.issuer()
        base_url = issuer if issuer.startswith(("https://", "http://")) else auth_settings().public_url
        base = (base_url or request.build_absolute_uri("/")).rstrip("/")
        # `reverse` begins with the prefix of FORCE_SCRIPT_NAME, which the issuer may end with.
        base = base.removesuffix(get_script_prefix().rstrip("/"))
        methods = ["client_secret_basic", "client_secret_post"]
        metadata = {
            "issuer": issuer,
            "jwks_uri": base + reverse("keys"),
            "introspection_endpoint": base + reverse("introspection"),
            "introspection_endpoint_auth_methods_supported": methods,
            "revocation_endpoint": base + reverse("revocation"),
            "revocation_endpoint_auth_methods_supported": methods,
            "service_documentation": base + reverse("docs"),
            "acr_values_supported": [str(level) for level in LEVELS],
        }
        # Users sign in through this API, not through an OAuth flow. The lists of supported flows would be empty,
        # and section 3.2 forbids empty lists.
        self.headers["Cache-Control"] = f"public, max-age={METADATA_MAX_AGE}"
        return Response(metadata)


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
